"""*Pure.* Which records hang together: near pairs inside of a cell, and what they connect over all cells."""

from __future__ import annotations

import numpy as np

SLACK = 1e-4
"""What rounding to float16 may change of a cosine; those that are taken for near are compared exactly later."""
ROWS = 2048
"""Compared with all others at once."""


def linked(vectors: np.ndarray, threshold: float) -> np.ndarray:
    """*Pure.* For each of some unit vectors (float32 (n, d)) the first that it hangs together with, int64 (n,)."""
    labels = np.arange(len(vectors))
    for start in range(0, len(vectors), ROWS):
        found = vectors[start : start + ROWS] @ vectors[start:].T >= threshold - SLACK
        one, two = np.nonzero(np.triu(found, 1))
        labels = connected(labels, one + start, two + start)
    return labels


def connected(labels: np.ndarray, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """*Pure.* Labels, int64 (n,), after edges between `one` and `two`, int64 (m,): each is the least of its component.

    Labels are what such a call has returned, or the numbers of the rows.
    """
    while len(one):
        low, high = np.minimum(labels[one], labels[two]), np.maximum(labels[one], labels[two])
        open_ = low < high
        one, two, low, high = one[open_], two[open_], low[open_], high[open_]
        np.minimum.at(labels, high, low)
        while not np.array_equal(shorter := labels[labels], labels):
            labels = shorter
    return labels
