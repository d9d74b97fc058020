"""*Pure.* What a score means: how often an unrelated pair scores as high, and where relevance ends.

Cosines of different queries do not compare: 0.3 is much for one and nothing for another. So a score is taken relative
to what the query finds best in this index: less half of the mean of its four best scores.
"""

from __future__ import annotations

import numpy as np

from clip_spark.index.files.calibration import Calibration

BEST, OWN = 4, 0.5
"""So many of a query's best scores are averaged, and so much of their mean is taken off."""
PROBABILITIES = tuple(base * 10.0**-power for power in range(6) for base in (1.0, 0.5, 0.2))[:16]
"""Shares of unrelated pairs for which the score that they reach is known: 1 to 0.00001."""
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Shares of queries about nothing for which the score that their best hit stays below is known."""


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


def line(learnt: Calibration, relevant: float) -> float:
    """The relative score that a query about nothing does not reach with this probability."""
    return float(np.interp(relevant, LEVELS, learnt.nothing))
