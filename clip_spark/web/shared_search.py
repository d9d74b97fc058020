"""*Server.* Searches of several requests as one search: what it reads of the index it reads once for all of them.

Only plain searches that take little time, for each waits for those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clip_spark.index.files.faiss_library import FEW_QUERIES, load_faiss
from clip_spark.web.together import Together

if TYPE_CHECKING:
    from clip_spark.index.open.parts import PartSet
    from clip_spark.index.open.ranking import RankedParts
    from clip_spark.index.open.selection import Selection
    from clip_spark.search.hits import Wanted

MOST_HITS = 1000
"""Of a query that is searched for together with others."""


def _alone() -> None:
    """Faiss uses one thread in the thread of the passes (the setting is a thread's own).

    One query never uses more. For eight, Faiss divides the work so often that threads which meet on busy cores take
    three times the CPU of one thread; and the other cores have HTTP to speak and texts to encode.
    """
    load_faiss().omp_set_num_threads(1)


_searching = Together(FEW_QUERIES, _alone)
"""Faiss computes larger batches in another way: a hit could depend on who else asks."""


@dataclass(frozen=True)
class _Search:
    """What searches have in common that can be one."""

    parts: PartSet | RankedParts
    k: int

    def __call__(self, queries: np.ndarray) -> Sequence[tuple[np.ndarray, np.ndarray]]:
        return list(zip(*self.parts.search(queries, self.k), strict=True))


@dataclass(frozen=True)
class _SearchAndRead:
    """The same with the records of the first hits, so that those of all queries are read at once."""

    parts: PartSet | RankedParts
    k: int
    records: int
    read: Callable[[np.ndarray], list[dict[str, Any]]]

    def __call__(self, queries: np.ndarray) -> Sequence[tuple[np.ndarray, np.ndarray, list[dict[str, Any]]]]:
        scores, positions = self.parts.search(queries, self.k)
        there = positions >= 0
        shown = [positions[row, there[row]][: self.records] for row in range(len(queries))]
        rows = iter(self.read(np.concatenate(shown)))
        read = [[next(rows) for _ in mine] for mine in shown]
        return [(scores[row, there[row]], positions[row, there[row]], read[row]) for row in range(len(queries))]


def is_plain(wanted: Wanted) -> bool:
    """*Pure.* Whether a query wants the nearest and nothing else, and not too many of them."""
    limited = (
        wanted.where or wanted.unique or wanted.offset or wanted.columns or wanted.threshold > -1 or wanted.relevant
    )
    return not limited and wanted.k <= MOST_HITS


async def search_soon(
    parts: PartSet | RankedParts,
    query: np.ndarray,
    k: int,
    records: int,
    read: Callable[[np.ndarray], list[dict[str, Any]]],
) -> tuple[np.ndarray, np.ndarray, list[dict[str, Any]]]:
    """*Server.* The nearest to one query, float32 (d,), for the event loop.

    Returns:
        scores float32 (m,), positions int64 (m,), m <= k, best first, and what `read` has for the first `records`.
    """
    return await _searching.soon(_SearchAndRead(parts, k, records, read), query, np.stack)


def search_shared(
    parts: PartSet | RankedParts, queries: np.ndarray, k: int, *, selection: Selection | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """*Server.* The same as `PartSet.search`, in one pass with what other requests search for meanwhile."""
    if selection is not None or len(queries) != 1 or k > MOST_HITS:
        return parts.search(queries, k, selection=selection)
    scores, positions = _searching(_Search(parts, k), queries[0], np.stack)
    return scores[None], positions[None]
