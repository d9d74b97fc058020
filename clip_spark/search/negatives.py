"""*Worker.* What a query does not want is left out, not subtracted: the ranking stays that of what is wanted.

A hit is left out if it is nearer to what is not wanted than to what is, each measured against the best that there is:

    cosine with it - its own best >= cosine with what is wanted - the best of that - LINE * how far the two are apart

Subtracting moves the query away from both, and finds neither the one nor the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clip_spark.errors import SpecError
from clip_spark.index.open.meaning import BEST, ITSELF
from clip_spark.index.open.parts import MISSING

LINE = 0.15
"""Of how far the best of what is not wanted is above what is only wanted; settled on the demo (docs/answers.md)."""
FETCHED = (2, 8, 64)
"""How many times as many hits are looked at, in turn, until enough are left."""
LEAST_LENGTH = 1e-6
Ask = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""Scores and positions, each (n, at most k), best first, of queries float32 (n, d) and k."""
NOTHING: np.ndarray = np.empty((0, 0), np.float32)


class Sought(NamedTuple):
    """A query.

    Attributes:
        vector: what is wanted, float32 (d,), of length 1.
        less: what is not, float32 (m, d), each as long as its weight.
    """

    vector: np.ndarray
    less: np.ndarray = NOTHING


def sought(weights: Sequence[float], vectors: Sequence[np.ndarray]) -> Sought:
    """*Pure.* A query out of weighted unit vectors, float32 (d,): the sum of those above 0, without the others.

    Raises:
        SpecError: nothing is wanted, or what is cancels itself out.
    """
    rows = np.stack(vectors).astype(np.float64) * np.array(weights)[:, None]
    signs = np.array(weights) > 0
    if not signs.any():
        raise SpecError("A query needs at least one term that is wanted, before what is not.")
    total = rows[signs].sum(axis=0)
    length = float(np.linalg.norm(total))
    if not np.isfinite(length) or length < LEAST_LENGTH:
        raise SpecError("The terms of this query cancel each other out; nothing is left to search for.")
    less = -rows[~signs & (np.array(weights) != 0)]
    return Sought((total / length).astype(np.float32), less.astype(np.float32))


@dataclass(frozen=True)
class Exclusion:
    """What one query does not want, in one index.

    Attributes:
        query: what is wanted, float32 (d,).
        less: unit vectors of what is not, float32 (m, d).
        weights: of these, float64 (m,): above 1 leaves more out.
        best: the mean of the best cosines of the query, and of each of these, float64 (m + 1,).
    """

    query: np.ndarray
    less: np.ndarray
    weights: np.ndarray
    best: np.ndarray

    @staticmethod
    def of(query: np.ndarray, less: np.ndarray, ask: Ask) -> Exclusion:
        """*Worker.* For a query, float32 (d,), and what it does not want, float32 (m, d); `ask` gives plain cosines.

        A record of the index that is a query finds itself; that says nothing of its best.
        """
        weights = np.linalg.norm(less, axis=1)
        units = np.asarray(less / weights[:, None], np.float32)
        scores, positions = ask(np.vstack([query[None], units]), BEST + 1)
        others = (positions != MISSING) & (scores < ITSELF)
        best = [float(row[mine][:BEST].mean()) if mine.any() else 0.0 for row, mine in zip(scores, others, strict=True)]
        return Exclusion(query, units, weights, np.array(best))

    def excludes(self, vectors: np.ndarray) -> np.ndarray:
        """*Pure.* Which of some stored vectors, float32 (n, d), are left out: bool (n,)."""
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        wanted = units @ self.query - self.best[0]
        apart = np.maximum(self.best[1:] - self.less @ self.query * self.best[0], 0)
        against = (units @ self.less.T - self.best[1:]) / self.weights
        return np.asarray((against >= wanted[:, None] - LINE * apart).any(axis=1))


def search_less(
    ask: Ask, exclusion: Exclusion, k: int, take: Callable[[np.ndarray], np.ndarray], most: int
) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* The k best hits of a query but for those that it does not want.

    Args:
        ask: gives the ranking.
        exclusion: with the query.
        k: most hits.
        take: stored vectors at positions.
        most: records of the index.

    Returns:
        scores float32 (1, m) and positions int64 (1, m), m <= k.
    """
    for times in FETCHED:
        depth = min(k * times, most)
        scores, positions = ask(exclusion.query[None], depth)
        there = np.flatnonzero(positions[0] != MISSING)
        kept = there[~exclusion.excludes(take(positions[0][there]).astype(np.float32))] if len(there) else there
        if len(kept) >= k or len(there) < depth or depth == most:
            break
    return scores[:, kept[:k]], positions[:, kept[:k]]
