"""*Worker.* Hits that say nothing new: near-duplicates of a better one."""

from __future__ import annotations

import numpy as np

from clip_spark.index.vectors import PartVectors, VectorStore


def drop_near_duplicates(
    scores: np.ndarray, positions: np.ndarray, vectors: VectorStore | PartVectors, similar: float
) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* Keep a hit only if its cosine with every better kept one is below `similar`.

    Args:
        scores: float32 (n, m), best first.
        positions: int64 (n, m); below 0 means no hit.
        vectors: of the index.
        similar: cosine.

    Returns:
        the same shapes; what is left moves up, -1 behind it.
    """
    kept_scores, kept_positions = np.full_like(scores, -np.inf), np.full_like(positions, -1)
    for row in range(len(positions)):
        found = np.flatnonzero(positions[row] >= 0)
        if len(found) == 0:
            continue
        kept = found[first_of_kind(vectors.take(positions[row, found]), similar)]
        kept_scores[row, : len(kept)], kept_positions[row, : len(kept)] = scores[row, kept], positions[row, kept]
    return kept_scores, kept_positions


def first_of_kind(vectors: np.ndarray, similar: float) -> list[int]:
    """*Pure.* Rows (of float32 (m, d), unit length) whose cosine with every earlier kept row is below `similar`."""
    cosines = vectors @ vectors.T
    kept: list[int] = []
    for row in range(len(vectors)):
        if not kept or cosines[row, kept].max() < similar:
            kept.append(row)
    return kept
