"""*Pure.* Where a vector lies on a map: at the mode of the places of the anchors that are nearest to it.

The mean of these places often lies where nothing is; their mode lies among pictures that look like it. A text is far
from every picture, and all of its cosines are alike: so they are scaled by each row's own range, and pictures, n-grams
and typed texts are placed in one way.
"""

from __future__ import annotations

import numpy as np

NEAREST = 15
"""Anchors that decide."""
SHARPNESS = 3.0
"""How much more the best of them weighs than the worst: e to this power."""
WIDTH = 1.0
"""Of the kernel, in median distances between neighbours on the map."""
STEPS = 12
"""Of mean-shift; it stands still after about eight."""
CHUNK = 256
"""Rows at a time: the distances between their anchors, 256 x 15 x 15 x 8 bytes, stay in the processor's cache."""


def weights(scores: np.ndarray) -> np.ndarray:
    """*Pure.* Softmax of cosines (float (m, k)) scaled by each row's own range, float64 (m, k); rows sum to 1."""
    best, worst = scores.max(axis=1, keepdims=True), scores.min(axis=1, keepdims=True)
    scaled = (scores.astype(np.float64) - best) / np.maximum(best - worst, 1e-12)
    found = np.exp(SHARPNESS * scaled)
    return found / found.sum(axis=1, keepdims=True)


def place(scores: np.ndarray, places: np.ndarray, width: float) -> np.ndarray:
    """*Pure.* The modes of weighted places; a row's result does not depend on the others.

    Args:
        scores: cosines of the nearest anchors, float32 (m, k).
        places: of these anchors, float32 (m, k, 2).
        width: of the kernel, in units of the map.

    Returns:
        float32 (m, 2).
    """
    found = np.empty((len(scores), 2), np.float32)
    for start in range(0, len(scores), CHUNK):
        part = slice(start, start + CHUNK)
        found[part] = _modes(weights(scores[part]), places[part].astype(np.float64), width)
    return found


def _modes(mass: np.ndarray, places: np.ndarray, width: float) -> np.ndarray:
    """*Pure.* Mean-shift from the densest of the places: mass float64 (m, k), places float64 (m, k, 2)."""
    x, y, steep = places[:, :, 0], places[:, :, 1], -1 / (2 * width * width)
    near = np.exp(steep * ((x[:, :, None] - x[:, None, :]) ** 2 + (y[:, :, None] - y[:, None, :]) ** 2))
    densest = (np.arange(len(places)), (mass[:, None, :] * near).sum(axis=2).argmax(axis=1))
    at_x, at_y = x[densest], y[densest]
    for _ in range(STEPS):
        pull = mass * np.exp(steep * ((x - at_x[:, None]) ** 2 + (y - at_y[:, None]) ** 2))
        total = pull.sum(axis=1)
        at_x, at_y = (pull * x).sum(axis=1) / total, (pull * y).sum(axis=1) / total
    return np.stack([at_x, at_y], axis=1)


def kernel_width(places: np.ndarray, numbers: np.ndarray) -> float:
    """*Pure.* A kernel as wide as neighbours are apart on this map: places float32 (n, 2), numbers int64 (n, k)."""
    near = places[numbers[:, :NEAREST]] - places[:, None, :]
    return max(WIDTH * float(np.median(np.sqrt((near.astype(np.float64) ** 2).sum(axis=2)))), 1e-9)
