"""*Pure.* Groups in which every two are near: no chains.

Records come in their order, the best first. Each joins the first group all of whose members are near to it, and else
is the first of a group of its own: the one that is kept.
"""

from __future__ import annotations

import numpy as np

MOST_CHECKED = 4096
"""So many near to the kept one are compared with each other; of more only those are taken whose angle to it is half
of the threshold's, so that no two of them can be farther apart than that."""


def groups_of(vectors: np.ndarray, slack: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """*Pure.* The groups of some records that hang together.

    Args:
        vectors: unit vectors in their order, float32 (n, d).
        slack: the angle by which what a row stands for may lie beside it, float64 (n,); 0 for a single record.
        threshold: least cosine of any two.

    Returns:
        for each row the row that is kept, int64 (n,), and the cosine with it, float32 (n,).
    """
    kept, cosines = np.arange(len(vectors)), np.ones(len(vectors), np.float32)
    left = np.arange(len(vectors))
    while len(left):
        first, rest = left[0], left[1:]
        found = vectors[rest] @ vectors[first]
        near = found >= _needed(slack[rest] + slack[first], threshold)
        if near.any():
            joined = np.flatnonzero(near)[_together(vectors[rest[near]], slack[rest[near]], found[near], threshold)]
            kept[rest[joined]], cosines[rest[joined]] = first, found[joined]
            near[:] = False
            near[joined] = True
        left = rest[~near]
    return kept, cosines


def _together(vectors: np.ndarray, slack: np.ndarray, cosines: np.ndarray, threshold: float) -> np.ndarray:
    """*Pure.* Rows, int64, that are near to each other, of those near to one: float32 (n, d) with cosines (n,)."""
    if len(vectors) > MOST_CHECKED:
        return np.flatnonzero(np.arccos(np.clip(cosines, -1, 1)) + slack <= np.arccos(threshold) / 2)
    near = vectors @ vectors.T >= _needed(slack[:, None] + slack, threshold)
    np.fill_diagonal(near, True)
    if near.all():
        return np.arange(len(vectors))
    may, taken = np.ones(len(vectors), bool), []
    for row in range(len(vectors)):
        if may[row]:
            taken.append(row)
            may &= near[row]
    return np.array(taken)


def _needed(slack: np.ndarray, threshold: float) -> np.ndarray | float:
    """*Pure.* The cosine that what stands for records must have so that all of them have the threshold's."""
    if not slack.any():
        return threshold
    return np.cos(np.maximum(np.arccos(threshold) - slack, 0))
