"""Near-duplicates are dropped as the definition says, and what is held at once grows with the hits that are wanted."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from clip_spark.index.open.unique import first_of_kind, search_unique


class Rows:
    """Vectors in memory; counts what was read."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors, self.read = vectors, 0

    def take(self, positions: np.ndarray) -> np.ndarray:
        self.read += len(positions)
        return self.vectors[positions]


def unit_rows(rows: int, dim: int, seed: int, copies: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = np.repeat(random.normal(size=(rows // copies, dim)), copies, axis=0)
    rows_ = centres + 0.2 * random.normal(size=centres.shape)
    random.shuffle(rows_)
    return (rows_ / np.linalg.norm(rows_, axis=1, keepdims=True)).astype(np.float32)


def by_definition(vectors: np.ndarray, order: np.ndarray, similar: float) -> list[int]:
    cosines, kept = vectors @ vectors.T, list[int]()
    for place, position in enumerate(order):
        if position >= 0 and not (cosines[position, order[kept]] >= similar).any():
            kept.append(place)
    return kept


@pytest.mark.parametrize("copies", [1, 3, 50, 400])
def test_each_kept_hit_is_unlike_every_better_kept_one(copies: int) -> None:
    vectors = unit_rows(1200, 8, copies, copies)
    order = np.random.default_rng(copies).permutation(1200)
    order[::17] = -1
    kept = by_definition(vectors, order, 0.9)
    for k in (1, 7, 40, 399, 2000):
        assert first_of_kind(order, k, Rows(vectors), 0.9).tolist() == kept[:k]


def test_no_more_is_read_than_it_takes() -> None:
    store = Rows(unit_rows(20_000, 64, 1))
    assert len(first_of_kind(np.arange(20_000), 40, store, 0.9)) == 40 and store.read <= 80


def test_memory_goes_by_the_hits_that_are_wanted() -> None:
    store, k = Rows(unit_rows(24_000, 64, 1, copies=12)), 3000
    tracemalloc.start()
    found = first_of_kind(np.arange(24_000), k, store, 0.9)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 1900 < len(found) < k and most < 16e6  # all cosines at once would take 2.3 GB


def test_a_search_looks_deeper_until_there_are_enough() -> None:
    vectors = unit_rows(4000, 32, 3, copies=20)
    query = vectors[:1]
    asked = []

    def ask(queries: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
        asked.append(most)
        order = np.argsort(-(queries @ vectors.T), axis=1)[:, :most]
        return np.take_along_axis(queries @ vectors.T, order, 1), order

    scores, positions = search_unique(ask, query, 50, Rows(vectors), 0.8)
    order = ask(query, 3200)[1][0]
    assert asked[:3] == [100, 400, 3200]
    assert positions[0].tolist() == order[by_definition(vectors, order, 0.8)[:50]].tolist()
    assert np.all(np.diff(scores[0]) <= 0)
