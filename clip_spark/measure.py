"""*Driver.* How good a new index is: search settings from measured recall, times, and a check that it answers."""

from __future__ import annotations

import logging
from typing import Any

from clip_spark.errors import DatasetError
from clip_spark.index.layout import SearchSettings
from clip_spark.index.parts import PartSet
from clip_spark.index.tune import RECALL_AT, Questions, milliseconds_per_query, tune

log = logging.getLogger(__name__)


def measure(
    parts: PartSet, key: str, goal: float, own: Questions, cross: Questions | None
) -> tuple[SearchSettings, dict[str, Any]]:
    """*Driver.* The cheapest settings that reach the goal on all questions, and what was measured with them."""
    settings, reached = tune(parts, key, goal, own)
    measured: dict[str, Any] = {"goal": goal}
    if cross is not None:
        harder, reached_cross = tune(parts, key, goal, cross)
        settings = max(settings, harder, key=lambda s: (s.rerank, s.nprobe))
        reached = min(reached, reached_cross)
        measured[f"recall_at_{RECALL_AT}_cross"] = round(cross.recall(parts, settings), 4)
    measured[f"recall_at_{RECALL_AT}"] = round(own.recall(parts, settings), 4)
    if reached < goal:
        log.warning("recall@%d %.3f is the most that %s gives; --recall asks for %.3f", RECALL_AT, reached, key, goal)
    return settings, measured | milliseconds_per_query(parts, settings, own.queries)


def spot_check(parts: PartSet, settings: SearchSettings, key: str, own: Questions) -> None:
    """*Driver.* Stored vectors answer to themselves; raises DatasetError if an uncompressed one does not."""
    if not key.endswith("Flat"):
        return
    scores, _ = parts.search(own.queries, 1, settings)
    if scores.min() < 1 - 1e-3:
        raise DatasetError("A stored vector does not find itself in the new index; build it again.")
