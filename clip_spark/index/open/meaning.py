"""*Pure.* What a score means: how often an unrelated pair scores as high, and where relevance ends.

Cosines of different queries do not compare: 0.3 is much for one and nothing for another. For chances a score is taken
relative to what the query finds best in this index: less half of the mean of its four best scores.

Whether a query is about anything is another question: what says so is how far its hits rise above its mean cosine with
all items, and how near it is to queries that the index knows. Both are one number of the query, its `ground`.
"""

from __future__ import annotations

import numpy as np

from clip_spark.index.files.calibration import Calibration

BEST, OWN = 4, 0.5
"""So many of a query's best scores are averaged, and so much of their mean is taken off."""
PROBABILITIES = tuple(base * 10.0**-power for power in range(6) for base in (1.0, 0.5, 0.2))[:16]
"""Shares of unrelated pairs for which the score that they reach is known: 1 to 0.00001."""
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Shares of queries about nothing for which it is known what their hits stay below."""
PLACES = (1, 2, 5, 10, 20, 50, 100)
"""Ranks of hits for which that is known."""
KNOWN = 0.5
"""What the cosine with the nearest known query counts; settled on the demo (docs/answers.md)."""
ITSELF = 0.9999
"""A cosine of what is the same: a query finds itself, and that says nothing."""


def own_best(scores: np.ndarray) -> np.ndarray:
    """The mean of the best scores of each query, float32 (n,), from scores (n, m) that fall; -inf is no hit."""
    first = scores[:, :BEST]
    there = np.isfinite(first)
    return np.asarray(np.where(there, first, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1), np.float32)


def relative(scores: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Scores (n, m) less a part of the query's own best, (n,)."""
    return scores - OWN * best[:, None]


def chances(learnt: Calibration, values: np.ndarray) -> np.ndarray:
    """How often an unrelated pair has such a relative score or a higher one, float64 of the same shape; never 0."""
    return np.exp(np.interp(values, learnt.pairs, np.log(PROBABILITIES)))


def ground(queries: np.ndarray, centre: np.ndarray, references: np.ndarray) -> np.ndarray:
    """What scores of queries have to rise above, float32 (n,): the mean cosine with all items, less a part of the
    cosine with the nearest query that the index knows.

    Args:
        queries: float32 (n, d).
        centre: the mean of the items, float32 (d,).
        references: the known queries, float32 (m, d).
    """
    cosines = queries @ references.T
    nearest = np.where(cosines < ITSELF, cosines, -1).max(axis=1)
    return np.asarray(queries @ centre - KNOWN * nearest, np.float32)


def relevant(learnt: Calibration, scores: np.ndarray, grounds: np.ndarray, level: float) -> np.ndarray:
    """Which hits a query about nothing would not have at their ranks with this probability, bool (n, m).

    Args:
        learnt: by the index.
        scores: of each query's hits from the first on, falling, float32 (n, m).
        grounds: of the queries, float32 (n,).
        level: the probability; none that follows one that is not relevant is.
    """
    known = [np.interp(level, LEVELS, row) for row in learnt.nothing]
    ranks = np.log(np.arange(1, scores.shape[1] + 1))
    lines = np.interp(ranks, np.log(PLACES[: len(known)]), known)
    return np.logical_and.accumulate(scores - grounds[:, None] >= lines, axis=1)
