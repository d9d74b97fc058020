"""*Pure.* How much of an index one search looks at, from the table of efforts that its build measured.

A search for k hits among the share s of the rows that a condition leaves goes as deep as one for k / s hits among all:
the best k of the selection are, as long as it has nothing to do with the query, spread over the best k / s.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from clip_spark.index.build.choose_key import SCANNED_WHOLE
from clip_spark.index.files.layout import Effort, SearchSettings

ALL_LISTS = 1 << 30
UNMEASURED_AT = 10
"""Indices of older versions know the settings for so many hits alone."""


def everything(settings: SearchSettings) -> SearchSettings:
    """*Pure.* The same settings, but all lists are looked into."""
    return dataclasses.replace(settings, nprobe=ALL_LISTS, ef=ALL_LISTS if settings.ef else 0)


def deeper(settings: SearchSettings, factor: float) -> SearchSettings:
    """*Pure.* So many times the lists; an HNSW coarse quantizer must look at more centroids than it returns."""
    nprobe = min(ALL_LISTS, math.ceil(settings.nprobe * factor))
    return dataclasses.replace(settings, nprobe=nprobe, ef=max(settings.ef, 2 * nprobe) if settings.ef else 0)


def choose_effort(
    efforts: Sequence[Effort], settings: SearchSettings, k: int, rows: int, selected: int | None
) -> Effort:
    """*Pure.* The least measured effort that gives the recall which the index was built for.

    Args:
        efforts: of the index, by growing k; none for one of an older version.
        settings: of the index, for UNMEASURED_AT hits.
        k: hits that are wanted.
        rows: of the index.
        selected: rows that a condition and removals leave; None for all.

    Returns:
        Settings, and the recall to expect of them; NaN where nothing was measured.
    """
    if settings.nprobe == 0:
        return Effort(k, settings, 1.0)
    share = 1.0 if selected is None else max(1, selected) / rows
    if selected is not None and selected <= SCANNED_WHOLE:
        return Effort(k, everything(settings), 1.0)
    depth = k / share
    if not efforts:
        return Effort(k, deeper(settings, max(1.0 / share, math.sqrt(depth / UNMEASURED_AT))), math.nan)
    measured = next((effort for effort in efforts if effort.k >= depth), None)
    if measured is None:
        return Effort(k, everything(efforts[-1].settings), 1.0)
    plain = next(effort for effort in efforts if effort.k >= k)
    wider = deeper(plain.settings, 1.0 / share)  # a selection that has to do with the query lies elsewhere
    settings = max(measured.settings, wider, key=lambda s: s.nprobe)
    return Effort(k, dataclasses.replace(settings, rerank=_candidates_per_hit(efforts, k)), measured.recall)


def _candidates_per_hit(efforts: Sequence[Effort], k: int) -> int:
    """*Pure.* As many as the measured number of hits below k needs, but in all no more than the one above needs, which
    are fewer per hit."""
    after = next(effort for effort in efforts if effort.k >= k)
    before = next((effort for effort in reversed(efforts) if effort.k < k), after)
    most = math.ceil(after.k * after.settings.rerank / k)
    return max(after.settings.rerank, min(before.settings.rerank, most))
