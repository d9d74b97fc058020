"""*Worker.* Hits that say nothing new: near-duplicates of a better one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clip_spark.index.open.vectors import PartVectors, VectorStore

FETCHED = (2, 8, 64)
"""How many times as many hits are looked at, in turn, until enough are left."""
MOST_LOOKED_AT = 65_536
"""Hits, whatever FETCHED says: comparing these many with 10,000 that are kept takes seconds."""
LEAST_BLOCK, MOST_BLOCK = 32, 256
"""Hits whose vectors are read and compared at once."""


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
        depth = min(k * times, max(k * FETCHED[0], MOST_LOOKED_AT))
        found = ask(queries[rows], depth)
        exhausted = (found[1] < 0).any(axis=1) | (found[1].shape[1] < depth)
        for row, *hits in zip(rows, *found, strict=True):
            kept = first_of_kind(hits[1], k, vectors, similar)
            scores[row, : len(kept)], positions[row, : len(kept)] = hits[0][kept], hits[1][kept]
        rows = rows[(positions[rows] < 0).any(axis=1) & ~exhausted]
        if not len(rows):
            break
    return scores, positions


def first_of_kind(positions: np.ndarray, k: int, vectors: VectorStore | PartVectors, similar: float) -> np.ndarray:
    """*Worker.* Which hits have, with every better one of them, a cosine below `similar`.

    A block of hits is compared with what was kept before it, then within itself. So what is held at once are k vectors
    and a block, however many hits there are; and no more are read than it takes to find k.

    Args:
        positions: int64 (m,), best first; below 0 means no hit.
        k: most hits to keep.
        vectors: of the index.
        similar: cosine.

    Returns:
        at most k places in `positions`, int64, growing.
    """
    found = np.flatnonzero(positions >= 0)
    step = min(max(k, LEAST_BLOCK), MOST_BLOCK)
    places, kept, count = np.empty(k + step, np.int64), None, 0
    for first in range(0, len(found) if k else 0, step):
        block = found[first : first + step]
        rows = vectors.take(positions[block])
        if kept is None:  # pages of it that nothing is written to take no memory
            kept = np.empty((k + step, rows.shape[1]), np.float32)
        if count:
            new = (rows @ kept[:count].T).max(axis=1) < similar
            rows, block = rows[new], block[new]
        new = firsts(rows @ rows.T >= similar)
        end = count + int(new.sum())
        kept[count:end], places[count:end] = rows[new], block[new]
        count = end
        if count >= k:
            break
    return places[: min(count, k)]


def firsts(alike: np.ndarray) -> np.ndarray:
    """*Pure.* Of things that are alike, bool (m, m), which are like no earlier one that is kept: bool (m,)."""
    kept = np.ones(len(alike), bool)
    later = np.triu(alike, 1)
    for one in np.flatnonzero(later.any(axis=1)):
        if kept[one]:
            kept[later[one]] = False
    return kept
