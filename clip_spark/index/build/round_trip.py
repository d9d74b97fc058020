"""*Worker.* How strong the correction for hubs must be: measured on the set itself, without labels.

A query finds its first item; asked back, does the item find the query among all the others? A hub, which is near to
everything, does not. So the mean reciprocal rank of the way back grows while hubs go, and falls again where good items
are pushed down that merely have much to answer. Only first items are looked at, and what helps them most costs the
others: so the weakest setting is taken that has most of a gain worth having, the least strength and of that the mean
over the fewest, for a mean over many also punishes what many pictures rightly show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.open.parts import MISSING, PartSet

STRENGTHS = (0.25, 0.5, 0.75, 1.0)
NEAREST = (4, 8, 16, 32)
QUESTIONS, CANDIDATES = 512, 64
LEAST_REFERENCES = 64
"""Fewer queries teach nothing."""
ENOUGH, SURE, LEAST_GAIN = 0.8, 1.0, 0.02
"""The share of the best gain that is enough; a gain of fewer standard errors may be none, and a small one is not worth
what the rest of each list loses: then nothing is corrected. Of two models of the demo, one gained 0.12 here and as much
in its tags' precision; the other comes back at 0.978 without a correction, gained 0.005 and lost 0.04 in its tags'."""

Setting = tuple[float, int]
"""Strength, nearest."""
RAW: Setting = (0.0, NEAREST[0])


@dataclass(frozen=True)
class Choice:
    """The setting that was chosen, and the mean reciprocal rank of the way back with it and without any."""

    strength: float
    nearest: int
    corrected: float
    raw: float


NO_CHOICE = Choice(*RAW, 0.0, 0.0)
"""Of an index in which nothing can be found."""


def choose(parts: PartSet, references: np.ndarray) -> Choice:
    """*Worker.* The weakest correction of an index that has most of what the best one gains.

    One half of the references makes the penalties, the other half asks.

    Args:
        parts: of the index.
        references: float32 (m, d).
    """
    teaching, asking = references[::2], references[1::2]
    step = max(1, len(asking) // QUESTIONS)
    own = np.arange(0, len(asking), step)[:QUESTIONS]
    cosines, found = parts.search(asking[own], CANDIDATES)
    firsts = first_items(cosines, found, _means(parts, found, teaching))
    ways = {setting: _way_back(parts, first, asking, own) for setting, first in firsts.items()}
    strength, nearest = chosen = weakest_of_good(ways)
    return Choice(strength, nearest, round(float(ways[chosen].mean()), 4), round(float(ways[RAW].mean()), 4))


def _means(parts: PartSet, found: np.ndarray, teaching: np.ndarray) -> dict[int, np.ndarray]:
    """For each number of nearest queries the mean of each candidate, float32 of the shape of `found`."""
    faiss = load_faiss()
    items, at = np.unique(found, return_inverse=True)
    vectors = parts.vectors.take(np.maximum(items, 0))
    most = min(NEAREST[-1], len(teaching))
    best, _ = faiss.knn(vectors, np.ascontiguousarray(teaching), most, metric=faiss.METRIC_INNER_PRODUCT)
    return {nearest: best[:, :nearest].mean(axis=1)[at].reshape(found.shape) for nearest in NEAREST}


def first_items(cosines: np.ndarray, found: np.ndarray, means: Mapping[int, np.ndarray]) -> dict[Setting, np.ndarray]:
    """*Pure.* The first item of each query with each setting, int64 (n,); all arrays are (n, candidates)."""
    rows = np.arange(len(found))
    firsts = {RAW: found[:, 0]}
    for strength, nearest in product(STRENGTHS, NEAREST):
        ranked = np.where(found == MISSING, -np.inf, cosines - strength * means[nearest])
        firsts[strength, nearest] = found[rows, ranked.argmax(axis=1)]
    return firsts


def _way_back(parts: PartSet, items: np.ndarray, asking: np.ndarray, own: np.ndarray) -> np.ndarray:
    """For each item, int64 (n,), one over the rank of its query, `asking[own]`, among all that ask; float64 (n,)."""
    different, at = np.unique(np.maximum(items, 0), return_inverse=True)
    back = (parts.vectors.take(different) @ asking.T)[at]
    mine = back[np.arange(len(own)), own]
    return np.where(items == MISSING, 0.0, 1.0 / (1 + (back > mine[:, None]).sum(axis=1)))


def weakest_of_good(ways: Mapping[Setting, np.ndarray]) -> Setting:
    """*Pure.* The weakest setting with ENOUGH of the best gain over RAW; RAW where that gain is small or not SURE.

    Args:
        ways: for each setting the way back of the same queries, float64 (n,).
    """
    gains = {setting: values - ways[RAW] for setting, values in ways.items()}
    best = max(gains.values(), key=lambda gain: gain.mean())
    if best.mean() <= max(LEAST_GAIN, SURE * best.std() / np.sqrt(len(best))):
        return RAW
    return min(setting for setting, gain in gains.items() if gain.mean() >= ENOUGH * best.mean())
