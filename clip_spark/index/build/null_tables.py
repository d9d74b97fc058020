"""*Worker.* How high scores are where nothing is related: of random pairs, and of best hits of queries about nothing.

A query about nothing is a mixture of five that have nothing to do with each other: it lies where queries of its kind
lie, and means no item.
"""

from __future__ import annotations

import numpy as np

from clip_spark.index.open.meaning import BEST, LEVELS, PROBABILITIES, own_best, relative
from clip_spark.index.open.parts import PartSet
from clip_spark.index.open.ranking import RankedParts

QUERIES, ITEMS, MIXED, OF_EACH = 512, 4096, 2048, 5


def null_tables(
    parts: PartSet, ranking: RankedParts | None, references: np.ndarray, seed: int = 0
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """*Worker.* Relative scores that unrelated pairs reach with PROBABILITIES, and those that LEVELS of the best hits
    of queries about nothing stay below; references are float32 (m, d)."""
    random = np.random.default_rng(seed)
    search = (ranking or parts).search
    some = references[random.permutation(len(references))[:QUERIES]]
    best = own_best(search(some, BEST)[0])
    live = parts.allowed(None)
    known = np.arange(parts.rows) if live is None else np.flatnonzero(live.mask)
    items = np.sort(random.permutation(known)[:ITEMS])
    scores = some @ parts.vectors.take(items).T
    if ranking is not None:
        scores = scores - ranking.penalties.take(items)[:, 0]
    pairs = np.quantile(relative(scores, best), 1 - np.array(PROBABILITIES))
    found = search(mixtures(references, random), BEST)[0]
    nothing = np.quantile(relative(found, own_best(found))[:, 0], LEVELS)
    return tuple(pairs.round(5).tolist()), tuple(nothing.round(5).tolist())


def mixtures(references: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """*Pure.* MIXED sums of OF_EACH references each, of length 1, float32."""
    drawn = random.integers(0, len(references), (MIXED, OF_EACH))
    total = references[drawn].sum(axis=1)
    return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True), np.float32)
