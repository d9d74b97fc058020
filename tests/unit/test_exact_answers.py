"""The true nearest over streamed vectors equal a sort of all scores, however they are cut, in whatever order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from clip_spark.index.build.exact import exact_answers
from clip_spark.index.open.parts import MISSING

RNG = np.random.default_rng(2)
ROWS, DIM = 9_000, 16
VECTORS = RNG.integers(-2, 3, (ROWS, DIM)).astype(np.float32)
"""Small whole numbers: products are exact, and many scores are equal."""
WANTED = [(VECTORS[5:25], 1), (VECTORS[:7] + 1, 40), (VECTORS[30:33], 5_000)]


def sorted_out(queries: np.ndarray, k: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores = queries @ VECTORS[rows].T
    order = np.array([np.lexsort((rows, -row)) for row in scores])[:, :k]
    return np.take_along_axis(scores, order, 1), rows[order]


def cut(size: int) -> Iterator[tuple[int, np.ndarray]]:
    for first in range(0, ROWS, size):
        yield first, VECTORS[first : first + size]


@pytest.mark.parametrize("size", [1_000, 5_000, ROWS])
def test_the_best_of_a_stream_are_those_of_a_sort(size: int) -> None:
    for (queries, k), found in zip(WANTED, exact_answers(cut(size), WANTED), strict=True):
        np.testing.assert_array_equal(found, sorted_out(queries, k, np.arange(ROWS)))


def test_vectors_may_come_in_any_order() -> None:
    rows = RNG.permutation(ROWS)
    blocks = ((some, VECTORS[some]) for some in np.array_split(rows, 7))
    for (queries, k), found in zip(WANTED, exact_answers(blocks, WANTED), strict=True):
        np.testing.assert_array_equal(found, sorted_out(queries, k, np.arange(ROWS)))


def test_where_vectors_are_few_the_rest_is_missing() -> None:
    ((scores, positions),) = exact_answers([(10, VECTORS[10:13])], [(VECTORS[:2], 5)])
    np.testing.assert_array_equal(positions[:, :3], sorted_out(VECTORS[:2], 3, np.arange(10, 13))[1])
    assert (positions[:, 3:] == MISSING).all() and np.isneginf(scores[:, 3:]).all()
