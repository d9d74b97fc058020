"""Queries of a batch are divided among threads, sorted by where they lie: each answer is the one that it gets alone."""

from __future__ import annotations

from collections.abc import Iterator

import faiss
import numpy as np
import pytest

from clip_spark.index.files.faiss_library import has_rabitq
from clip_spark.index.files.layout import SearchSettings
from clip_spark.index.open import side_by_side
from clip_spark.index.open.parts import PartSet
from clip_spark.index.open.selection import Selection
from tests.helpers_embeddings import unit_vectors
from tests.helpers_lists import parts_in_lists

ROWS, DIM, K = 3_000, 32, 10
VECTORS, QUERIES = unit_vectors(ROWS, DIM, seed=1), unit_vectors(101, DIM, seed=2)
KEYS = ["IVF16,Flat", "IVF16_HNSW8,Flat", "IVF16,SQ8", f"OPQ8_{DIM},IVF16,PQ8x4", "IVF16,PQ8x4fs"]
KEYS += [f"RR{DIM},IVF16,RaBitQ"] if has_rabitq() else []


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    yield
    faiss.omp_set_num_threads(before)


def parts_of(key: str, parts: int = 1, metric: str = "ip") -> PartSet:
    return parts_in_lists(VECTORS, key, metric, parts, settings_of(key))


def settings_of(key: str) -> SearchSettings:
    return SearchSettings(4, 16 if "HNSW" in key else 0, 0)


@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("key", KEYS)
def test_a_batch_answers_as_each_of_its_queries_does_alone(key: str, parts: int, metric: str) -> None:
    index = parts_of(key, parts, metric)
    scores, positions = index.search(QUERIES, K)
    alone = [index.search(query[None], K) for query in QUERIES]
    np.testing.assert_array_equal(positions, np.concatenate([rows for _, rows in alone]))
    np.testing.assert_allclose(scores, np.concatenate([found for found, _ in alone]), atol=1e-5)


@pytest.mark.parametrize("asked", [1, 15, 16, 24, 100])
def test_any_number_of_queries_is_answered_in_their_order(asked: int) -> None:
    index = parts_of("IVF16,Flat", 2)
    own = np.arange(asked) * 7
    assert index.search(VECTORS[own], 1)[1][:, 0].tolist() == own.tolist()


def test_a_condition_holds_for_every_thread() -> None:
    mask = np.zeros(ROWS, bool)
    mask[::3] = True
    index = parts_of("IVF16,Flat", 3)
    _, positions = index.search(QUERIES, K, SearchSettings(16), Selection(mask))
    best = np.argsort(-(QUERIES @ VECTORS[::3].T), axis=1)[:, :K] * 3
    np.testing.assert_array_equal(positions, best)


def test_the_caller_keeps_its_number_of_threads() -> None:
    parts_of("IVF16,Flat").search(QUERIES, K)
    assert faiss.omp_get_max_threads() == 3


def test_a_few_queries_start_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    index = parts_of("IVF16,Flat", 2)
    monkeypatch.setattr(side_by_side, "ThreadPoolExecutor", None)
    assert index.search(QUERIES[:15], K)[1].shape == (15, K)
    with pytest.raises(TypeError):
        index.search(QUERIES[:16], K)
