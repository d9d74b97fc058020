"""*Worker.* Hits that say nothing new: near-duplicates of a better one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clip_spark.index.open.vectors import PartVectors, VectorStore

FETCHED = (4, 16, 64)
"""How many times as many hits are looked at, in turn, until enough are left."""


def search_unique(
    ask: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]],
    queries: np.ndarray,
    k: int,
    vectors: VectorStore | PartVectors,
    similar: float,
) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* The k best hits of each query (float32 (n, d)) that say something new.

    Args:
        ask: scores and positions, each (m, <= most), for (queries, most).
        queries: float32 (n, d).
        k: most hits per query.
        vectors: of the index.
        similar: cosine from which a hit is a near-duplicate of a better one.

    Returns:
        scores float32 (n, k), positions int64 (n, k), -1 where there is no hit.
    """
    scores = np.full((len(queries), k), -np.inf, np.float32)
    positions = np.full((len(queries), k), -1, np.int64)
    rows = np.arange(len(queries))
    for times in FETCHED:
        found = ask(queries[rows], k * times)
        exhausted = (found[1] < 0).any(axis=1) | (found[1].shape[1] < k * times)
        kept = drop_near_duplicates(*found, vectors, similar)
        width = min(k, kept[0].shape[1])
        scores[rows, :width], positions[rows, :width] = kept[0][:, :width], kept[1][:, :width]
        rows = rows[(positions[rows] < 0).any(axis=1) & ~exhausted]
        if not len(rows):
            break
    return scores, positions


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
