"""*Server.* Searches of several requests as one search: what it reads of the index it reads once for all of them.

Only plain searches that take little time, for each waits for those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clip_spark.index.open.parts import FEW_QUERIES
from clip_spark.web.together import Together

if TYPE_CHECKING:
    from clip_spark.index.open.parts import PartSet
    from clip_spark.index.open.selection import Selection

MOST_HITS = 1000
"""Of a query that is searched for together with others."""

_searching = Together(FEW_QUERIES)  # Faiss computes larger batches in another way: a hit could depend on who else asks


@dataclass(frozen=True)
class _Search:
    """What searches have in common that can be one."""

    parts: PartSet
    k: int

    def __call__(self, queries: np.ndarray) -> Sequence[tuple[np.ndarray, np.ndarray]]:
        return list(zip(*self.parts.search(queries, self.k), strict=True))


def search_shared(
    parts: PartSet, queries: np.ndarray, k: int, *, selection: Selection | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """*Server.* The same as `PartSet.search`, in one pass with what other requests search for meanwhile."""
    if selection is not None or len(queries) != 1 or k > MOST_HITS:
        return parts.search(queries, k, selection=selection)
    scores, positions = _searching(_Search(parts, k), queries[0], np.stack)
    return scores[None], positions[None]
