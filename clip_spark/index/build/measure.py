"""*Driver.* How good a new index is: search settings from measured recall, times, and a check that it answers."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip_spark.errors import DatasetError
from clip_spark.index.build.questions import RECALL_AT, Questions
from clip_spark.index.build.tune import RERANKS, milliseconds_per_query, tune
from clip_spark.index.files.keys import widest
from clip_spark.index.files.layout import Effort, SearchSettings
from clip_spark.index.files.shapes import keeps_vectors
from clip_spark.index.open.effort import everything
from clip_spark.index.open.parts import PartSet
from clip_spark.index.open.selection import Selection

log = logging.getLogger(__name__)

LOSSY = 0.0
"""The least score of a vector and what is left of it in a part that has nothing else, which may be much shorter."""
SPOT_CHECKS = 64
"""Stored vectors that are asked for; each costs a look at every id."""


@dataclass(frozen=True)
class Goal:
    """What searches should be like: the recall is reached where it can be, the time is said where it is not."""

    recall: float
    query_ms: float


@dataclass(frozen=True)
class Measured:
    """What a build says of its index.

    Attributes:
        settings: for ten hits.
        efforts: for k hits, by growing k; none where every search is exact.
        figures: recall and times, for the manifest and for people.
    """

    settings: SearchSettings
    efforts: tuple[Effort, ...]
    figures: dict[str, Any]


def measure(
    parts: PartSet, key: str, goal: Goal, own: Sequence[Questions], cross: Sequence[Questions] = (), how: str = ""
) -> Measured:
    """*Driver.* The cheapest settings that reach the recall on all questions, for each number of hits.

    Args:
        parts: the new index.
        key: its Faiss key.
        goal: what is wanted.
        own: from `make_questions`, with vectors of the index.
        cross: the same with queries of the other kind; none leaves that unmeasured.
        how: where those come from, or why there are none, in words.
    """
    efforts = tune(parts, key, goal.recall, [*own, *cross])
    settings = settings_for_ten(efforts)
    figures: dict[str, Any] = {"goal": goal.recall, f"recall_at_{RECALL_AT}": _recall(parts, settings, own)}
    figures |= _cross_figures(parts, key, settings, cross, how)
    for effort in efforts:
        if effort.recall < goal.recall:
            log.warning(
                *("recall@%d %.3f is the most that %s gives; --recall asks for %.3f", effort.k, effort.recall, key),
                goal.recall,
            )
    figures |= milliseconds_per_query(parts, settings, own[0].queries)
    if efforts and figures["ms_per_query"] > goal.query_ms:
        _say_what_time_buys(parts, settings, goal, own[0], figures["ms_per_query"])
    return Measured(settings, efforts, figures)


def settings_for_ten(efforts: Sequence[Effort]) -> SearchSettings:
    """*Pure.* The settings for ten hits, or for as many as the index has rows."""
    shallow = [effort for effort in efforts if effort.k <= RECALL_AT]
    return shallow[-1].settings if shallow else SearchSettings()


def _recall(parts: PartSet, settings: SearchSettings, asked: Sequence[Questions]) -> float:
    return round(asked[0].recall(parts, settings), 4)


def _cross_figures(
    parts: PartSet, key: str, settings: SearchSettings, cross: Sequence[Questions], how: str
) -> dict[str, Any]:
    """Recall of queries of the other kind and where they come from, or why there is no figure."""
    name = f"recall_at_{RECALL_AT}_cross"
    if not widest(key, parts.rows):
        return {name: 1.0}
    return {name: _recall(parts, settings, cross), "cross_measured_with": how} if cross else {name: how}


def _say_what_time_buys(parts: PartSet, settings: SearchSettings, goal: Goal, questions: Questions, ms: float) -> None:
    """A warning with the recall that the wanted time would give; the recall that was asked for is kept."""
    quick, quick_ms = settings, ms
    while quick_ms > goal.query_ms and quick.nprobe > 1:
        nprobe = quick.nprobe // 2
        quick = dataclasses.replace(quick, nprobe=nprobe, ef=max(32, 2 * nprobe) if quick.ef else 0)
        quick_ms = milliseconds_per_query(parts, quick, questions.queries)["ms_per_query"]
    log.warning(
        "a query takes %.1f ms here, --max-query-ms asks for %g; the recall is kept (in %.1f ms it would be %.3f). "
        "Give a lower --recall, or a smaller --max-index-memory for a compressed index",
        *(ms, goal.query_ms, quick_ms, questions.recall(parts, quick)),
    )


def spot_check(parts: PartSet, positions: np.ndarray, vectors: np.ndarray) -> None:
    """*Driver.* Stored vectors answer to themselves under their own positions.

    Args:
        parts: the new index.
        positions: sorted, int64 (n,).
        vectors: what the embeddings hold there, float32 (n, d).

    Raises:
        DatasetError: one does not.
    """
    step = max(1, len(positions) // SPOT_CHECKS)
    positions, vectors = positions[::step], vectors[::step]
    allowed = np.zeros(parts.rows, bool)
    allowed[positions] = True
    complete = everything(SearchSettings(nprobe=1, rerank=RERANKS[-1] if parts.store is not None else 0))
    scores, found = parts.search(vectors, len(positions), complete, Selection(allowed))
    own = np.where(found == positions[:, None], scores, -1.0).max(axis=1)
    least = 1 - 1e-3 if parts.store is not None or keeps_vectors(parts.indexes[0]) else LOSSY
    if own.min() < least:
        worst = int(positions[own.argmin()])
        raise DatasetError(f"The vector at position {worst} does not find itself in the new index; build it again.")
