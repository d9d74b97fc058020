"""Candidates compared again, by several threads, are numpy's products; parts are merged as one sort would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip_spark.index.files.layout import IndexFile
from clip_spark.index.open import vectors as vectors_module
from clip_spark.index.open.merge import merge
from clip_spark.index.open.vectors import VectorStore
from tests.helpers_embeddings import unit_vectors

ROWS, DIM = 700, 16
VECTORS, QUERIES = unit_vectors(ROWS, DIM, seed=1).astype(np.float16), unit_vectors(9, DIM, seed=2)


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    """Three files."""
    files = []
    for number, rows in enumerate(np.array_split(np.arange(ROWS), 3)):
        (tmp_path / f"{number}.f16").write_bytes(VECTORS[rows].tobytes())
        files.append(IndexFile(f"{number}.f16", int(rows[0]), len(rows), VECTORS[rows].nbytes, "x"))
    return VectorStore(str(tmp_path), files, DIM)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(request.param)
    yield request.param
    faiss.omp_set_num_threads(before)


@pytest.mark.parametrize("held", [1, 37, 8192])
def test_cosines_are_numpys(store: VectorStore, threads: int, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors_module, "RERANK_ROWS", held)
    positions = np.random.default_rng(3).integers(-1, ROWS, (len(QUERIES), 20))
    found = store.rescore(QUERIES, positions)
    wanted = np.einsum("nd,nmd->nm", QUERIES, VECTORS[positions].astype(np.float32))
    np.testing.assert_allclose(found, np.where(positions < 0, -np.inf, wanted), atol=1e-6)


def test_a_query_scores_the_same_beside_others(store: VectorStore, threads: int) -> None:
    positions = np.random.default_rng(4).integers(0, ROWS, (len(QUERIES), 50))
    together = store.rescore(QUERIES, positions)
    alone = [store.rescore(QUERIES[row : row + 1], positions[row : row + 1]) for row in range(len(QUERIES))]
    np.testing.assert_array_equal(together, np.concatenate(alone))


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5), st.integers(1, 8), st.integers(0, 1000))
def test_parts_are_merged_as_one_sort_would(parts: int, each: int, queries: int, k: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = -np.sort(-random.integers(0, 4, (parts, queries, each)).astype(np.float32), axis=2)
    positions = random.permuted(np.arange(parts * each)[None].repeat(queries, 0), axis=1).reshape(queries, parts, each)
    found = [(scores[part], positions[:, part].copy()) for part in range(parts)]
    for part in found:  # no hits, which come last
        part[1][part[0] == 0] = -1
        part[0][part[0] == 0] = -np.inf
    best, where = merge(found, k)
    for row in range(queries):
        pairs = sorted((-score, at) for part in found for score, at in zip(part[0][row], part[1][row], strict=True))
        assert list(zip(-best[row], where[row], strict=True)) == pairs[:k]
