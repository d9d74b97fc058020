"""Inverted lists through autofaiss's distributed mode, and tags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip_spark.index.build.build import build_index
from clip_spark.index.files.layout import read_index
from clip_spark.index.files.part_writer import stored_ids
from clip_spark.index.open.parts import FEW_QUERIES, open_parts
from clip_spark.index.specs import IndexSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings

pytestmark = pytest.mark.spark
ROWS = 20_000


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    vectors = unit_vectors(ROWS)
    folder = tmp_path_factory.mktemp("built") / "emb"
    write_embeddings(folder, vectors, numbered(ROWS), shard_rows=3000)
    return folder, vectors


def build(spark, embeddings: Path, output: Path, **options):
    return build_index(lambda: spark, IndexSpec(embeddings=str(embeddings), output=str(output), **options))


@pytest.mark.parametrize("parts", [1, 3])
def test_parts_hold_all_vectors_once_and_reach_the_recall(spark, tmp_path: Path, embeddings, parts: int) -> None:
    folder, vectors = embeddings
    manifest = build(spark, folder, tmp_path / "index", parts=parts, recall=0.9, index_key="IVF512,Flat")
    _, info = read_index(manifest.uri)
    assert len(info.parts) == parts and info.key.startswith("IVF")
    ids = np.concatenate([stored_ids(index) for index in open_parts(manifest.uri, info).indexes])
    np.testing.assert_array_equal(np.sort(ids), np.arange(ROWS))
    assert info.measured["recall_at_10"] >= 0.9
    assert 1 <= info.settings.nprobe < 512
    assert not list((tmp_path / "index").rglob("building/**/*.index"))
    searcher = Searcher.open(manifest.uri)
    queries = near(vectors[::200])
    truth = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    found = [[int(hit.record["text"].split()[1]) for hit in hits] for hits in searcher.search_embeddings(queries)]
    overlap = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, truth.tolist(), strict=True)])
    assert overlap > 0.85  # queries that it was not tuned with


def test_any_number_of_parts_gives_the_same_hits(spark, tmp_path: Path, embeddings) -> None:
    folder, vectors = embeddings
    found = []
    for parts in (1, 4):
        manifest = build(spark, folder, tmp_path / str(parts), parts=parts, index_key="IVF64,Flat")
        found.append(Searcher.open(manifest.uri).search_embeddings(near(vectors[::100])))
    assert found[0] == found[1]


@pytest.mark.parametrize("key", ["IVF64,SQ8", "OPQ8_32,IVF16,PQ8x8", "IVF64_HNSW8,Flat"])
def test_compressed_keys_reach_the_recall_by_reranking(spark, tmp_path: Path, embeddings, key: str) -> None:
    folder, vectors = embeddings
    manifest = build(spark, folder, tmp_path / "index", parts=2, recall=0.95, index_key=key)
    searcher = Searcher.open(manifest.uri)
    assert searcher.info.measured["recall_at_10"] >= 0.95
    assert bool(searcher.info.settings.rerank) == (not key.endswith("Flat"))
    hits = searcher.search_embedding(vectors[777], 3)
    assert hits[0].record["text"] == "text 777" and abs(hits[0].score - 1) < 1e-3
    assert searcher.search_like(hits[0].record["record_id"], 2)[0].record == hits[1].record
    queries = near(vectors[::100])
    batch = [[hit.record for hit in hits] for hits in searcher.search_embeddings(queries)]
    assert len(queries) > FEW_QUERIES  # so the lists of the batch are chosen part by part, those of one query once
    assert batch == [[hit.record for hit in searcher.search_embedding(query)] for query in queries]


def near(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors a little off the given ones."""
    moved = vectors + np.random.default_rng(1).normal(size=vectors.shape).astype(np.float32) * 0.05
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)
