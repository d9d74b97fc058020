"""Inverted lists through autofaiss's distributed mode, and tags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip_spark.datasets.manifest import read_manifest
from clip_spark.index.build.build import build_index
from clip_spark.index.build.on_spark import draw_distributed
from clip_spark.index.build.read_vectors import VectorReader, dataset_files
from clip_spark.index.build.train import draw_positions
from clip_spark.index.files.faiss_library import FEW_QUERIES, has_rabitq
from clip_spark.index.files.layout import read_index
from clip_spark.index.files.part_writer import PartWriter, stored_ids
from clip_spark.index.open.parts import open_parts
from clip_spark.index.specs import IndexSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings

pytestmark = pytest.mark.spark
ROWS = 10_000
CODES = ["OPQ8_32,IVF16,PQ8x8", *(["RR32,IVF16,RaBitQ"] if has_rabitq() else [])]
LONG = [pytest.param(key, marks=pytest.mark.long) for key in ("IVF64,SQ8", "IVF64_HNSW8,Flat")]


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    vectors = unit_vectors(ROWS)
    folder = tmp_path_factory.mktemp("built") / "emb"
    write_embeddings(folder, vectors, numbered(ROWS), shard_rows=3000)
    return folder, vectors


def build(spark, embeddings: Path, output: Path, **options):
    return build_index(lambda: spark, IndexSpec(embeddings=str(embeddings), output=str(output), **options))


@pytest.fixture(scope="module")
def indices(spark, embeddings, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Number of parts -> an index of them."""
    folders = {parts: tmp_path_factory.mktemp("index") / str(parts) for parts in (1, 3)}
    for parts, folder in folders.items():
        build(spark, embeddings[0], folder, parts=parts, recall=0.9, index_key="IVF128,Flat")
    return folders


@pytest.mark.parametrize("parts", [1, 3])
def test_parts_hold_all_vectors_once_and_reach_the_recall(indices: dict[int, Path], embeddings, parts: int) -> None:
    uri, vectors = str(indices[parts]), embeddings[1]
    _, info = read_index(uri)
    assert len(info.parts) == parts and info.key.startswith("IVF")
    ids = np.concatenate([stored_ids(index) for index in open_parts(uri, info).indexes])
    np.testing.assert_array_equal(np.sort(ids), np.arange(ROWS))
    assert info.measured["recall_at_10"] >= 0.9
    assert 1 <= info.settings.nprobe < 128
    assert not list(indices[parts].rglob("building/**/*.index"))
    searcher = Searcher.open(uri)
    queries = near(vectors[::200])
    truth = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    found = [[int(hit.record["text"].split()[1]) for hit in hits] for hits in searcher.search_embeddings(queries)]
    overlap = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, truth.tolist(), strict=True)])
    assert overlap > 0.85  # queries that it was not tuned with


def test_any_number_of_parts_gives_the_same_hits(indices: dict[int, Path], embeddings) -> None:
    queries = near(embeddings[1][::100])
    one, three = (Searcher.open(str(folder)).search_embeddings(queries) for folder in indices.values())
    assert one == three


@pytest.mark.parametrize("key", [*CODES, *LONG])
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


@pytest.mark.parametrize("shard_rows", [700, 4_000])
def test_the_sample_is_the_same_however_the_vectors_are_cut(spark, tmp_path: Path, shard_rows: int) -> None:
    vectors = unit_vectors(4_000)
    write_embeddings(tmp_path / "emb", vectors, numbered(len(vectors)), shard_rows=shard_rows)
    reader = VectorReader(dataset_files(read_manifest(str(tmp_path / "emb"), "embeddings"), "embeddings"), 32)
    train, test = draw_positions(len(vectors), 900, 50, seed=4)
    sample = draw_distributed(spark, reader, train, test, PartWriter(str(tmp_path), "g"))
    np.testing.assert_array_equal(sample.test, vectors[test])
    held = [np.fromfile(uri, np.float32).reshape(rows, 32) for uri, rows in sample.files]
    np.testing.assert_array_equal(np.concatenate(held), vectors[train])
