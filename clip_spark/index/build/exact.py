"""*Worker.* The true nearest of queries: every vector is compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from clip_spark.index.open.parts import MISSING

Wish = tuple[np.ndarray, int]
"""Queries float32 (n, d), and how many of their nearest are wanted."""
ROWS_AT_ONCE = 2_048
"""Vectors that are compared in one product: its scores stay in the caches until they are looked through."""


def exact_hits(
    blocks: Iterable[tuple[int | np.ndarray, np.ndarray]], queries: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* The true k best by inner product over streamed vectors.

    Args:
        blocks: (position of the first, or of each, float32 (m, d)).
        queries: float32 (n, d).
        k: hits per query.

    Returns:
        scores float32 (n, k), positions int64 (n, k), MISSING where there are fewer than k vectors.
    """
    return exact_answers(blocks, [(queries, k)])[0]


def exact_answers(
    blocks: Iterable[tuple[int | np.ndarray, np.ndarray]], wanted: Sequence[Wish]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """*Worker.* The same for several sets of queries, while the vectors pass by once."""
    best = [_Best(len(queries), k) for queries, k in wanted]
    ends = np.cumsum([len(queries) for queries, _ in wanted])[:-1]
    asked = np.concatenate([queries for queries, _ in wanted]) if wanted else np.empty((0, 0), np.float32)
    for first, vectors in blocks:
        for at in range(0, len(vectors), ROWS_AT_ONCE):
            some = vectors[at : at + ROWS_AT_ONCE]
            positions = (
                first[at : at + len(some)] if isinstance(first, np.ndarray) else first + at + np.arange(len(some))
            )
            for mine, scores in zip(best, np.split(asked @ some.T, ends), strict=True):
                mine.add(scores, positions)
    return [mine.hits() for mine in best]


class _Best:
    """The best k of each of n queries among what passed by; what cannot be among them is left where it is.

    Candidates are put aside, and sorted when they are as many as the best: seldom, for the more has passed by, the
    fewer are better than the k-th so far.
    """

    def __init__(self, count: int, k: int) -> None:
        self._scores = np.full((count, k), -np.inf, np.float32)
        self._positions = np.full((count, k), MISSING, np.int64)
        self._aside: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._held = 0

    def add(self, scores: np.ndarray, positions: np.ndarray) -> None:
        """Scores float32 (n, m) of vectors at positions int64 (m,)."""
        rows, columns = np.nonzero(scores >= self._scores[:, -1:])
        self._aside.append((rows, scores[rows, columns], positions[columns]))
        self._held += len(rows)
        if self._held > self._scores.size:
            self._sort()

    def hits(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores float32 (n, k), falling, and positions int64 (n, k), MISSING where there are fewer."""
        self._sort()
        return self._scores, self._positions

    def _sort(self) -> None:
        if not self._held:
            return
        rows, scores, positions = (np.concatenate(each) for each in zip(*self._aside, strict=True))
        self._aside, self._held = [], 0
        order = np.argsort(rows, kind="stable")
        ends = np.searchsorted(rows[order], np.arange(len(self._scores) + 1))
        for row, (start, end) in enumerate(pairwise(ends.tolist())):
            some = order[start:end]
            all_scores = np.concatenate([self._scores[row], scores[some]])
            all_positions = np.concatenate([self._positions[row], positions[some]])
            best = np.lexsort((all_positions, -all_scores))[: self._scores.shape[1]]
            self._scores[row], self._positions[row] = all_scores[best], all_positions[best]
