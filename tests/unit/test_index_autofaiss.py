"""What we rely on in the pinned autofaiss; if this fails, read its new `indices/distributed.py` first."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from clip_spark.errors import DatasetError, UserError
from clip_spark.index.build.build import build_index
from clip_spark.index.build.read_vectors import VectorReader, dataset_files
from clip_spark.index.build.train import train_index
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.files.part_writer import PartWriter, stored_ids
from clip_spark.index.specs import IndexSpec
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings


@pytest.fixture
def reader(tmp_path: Path) -> VectorReader:
    manifest = write_embeddings(tmp_path / "emb", unit_vectors(500), numbered(500), shard_rows=120)
    return VectorReader(dataset_files(manifest, "embeddings"), 32)


def test_the_call_has_the_arguments_that_we_give() -> None:
    from autofaiss.indices.distributed import add_embeddings_to_index_distributed

    assert version("autofaiss") == "2.18.0"
    assert list(inspect.signature(add_embeddings_to_index_distributed).parameters) == [
        "trained_index_or_path", "embedding_reader", "memory_available_for_adding", "nb_cores",
        "temporary_indices_folder", "embedding_ids_df_handler", "nb_indices_to_keep", "index_optimizer",
    ]  # fmt: skip


def test_where_it_is_missing_a_build_says_what_to_type_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_embeddings(tmp_path / "emb", unit_vectors(500), numbered(500))
    monkeypatch.setitem(sys.modules, "autofaiss.indices", None)
    spec = IndexSpec(embeddings=(str(tmp_path / "emb"),), output=str(tmp_path / "index"), index_key="IVF4,Flat")
    with pytest.raises(UserError, match="pip install --no-deps autofaiss==2.18.0 embedding-reader"):
        build_index(lambda: pytest.fail("Spark was started"), spec)
    assert not (tmp_path / "index").exists()
    exact = build_index(lambda: pytest.fail("Spark was started"), replace(spec, index_key="Flat"))
    assert exact.rows == 500


def test_its_task_takes_our_reader_and_its_merge_calls_our_writer(tmp_path: Path, reader: VectorReader) -> None:
    """The two functions that run on executors, called as its driver calls them, without Spark."""
    import faiss
    from autofaiss.indices.distributed import _add_index, _merge_index
    from autofaiss.indices.index_utils import save_index

    trained = save_index(train_index("IVF4,Flat", "ip", unit_vectors(500), 0), str(tmp_path), "trained")
    threads = faiss.omp_get_max_threads()
    for batch, (start, end) in enumerate([(0, 200), (200, 500), (0, 200)]):  # the last is a retry of the first
        _add_index(
            start=start,
            end=end,
            broadcasted_trained_index_or_path=trained,
            memory_available_for_adding="20KB",
            embedding_reader=reader,
            batch_id=batch % 2,
            small_indices_folder=str(tmp_path / "small"),
            nb_batches=2,
            num_cores=1,
        )
    faiss.omp_set_num_threads(threads)
    writer = PartWriter(str(tmp_path), "g")
    merged, found = _merge_index(
        str(tmp_path / "small"), 1, batch_id=0, start=0, end=2, tmp_output_folder="unused", index_optimizer=writer
    )
    np.testing.assert_array_equal(np.sort(stored_ids(merged)), np.arange(500))
    assert found["index_path"] == "parts/g/part-000.index" and found["rows"] == 500
    assert (tmp_path / found["index_path"]).stat().st_size == found["bytes"]


def test_rows_come_in_manifest_order_for_any_slice(reader: VectorReader) -> None:
    vectors = unit_vectors(500)
    for start, end in ((0, 500), (1, 2), (119, 121), (350, 500)):
        blocks = list(reader(batch_size=50, start=start, end=end))
        np.testing.assert_array_equal(np.concatenate([block for block, _ in blocks]), vectors[start:end])
        assert np.concatenate([frame["i"].to_numpy() for _, frame in blocks]).tolist() == list(range(start, end))
    rows = np.array([3, 119, 120, 499])
    np.testing.assert_array_equal(reader.take(rows), vectors[rows])


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 3.0])
def test_vectors_that_would_poison_an_index_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: float
) -> None:
    vectors = unit_vectors(300)
    vectors[250] = value
    monkeypatch.setattr("clip_spark.datasets.embeddings.UNIT_TOLERANCE", np.inf)  # the writer would not let it through
    monkeypatch.setattr("clip_spark.datasets.embeddings.np.all", lambda _: True)
    manifest = write_embeddings(tmp_path / "bad", vectors, numbered(300))
    monkeypatch.undo()
    with pytest.raises(DatasetError, match="not finite or not of length 1"):
        list(VectorReader(dataset_files(manifest, "embeddings"), 32).blocks())


@pytest.mark.parametrize("key", ["IVF8,Flat", "IVF8_HNSW32,SQ8"])
def test_threads_do_not_change_what_is_trained(key: str) -> None:
    faiss = load_faiss()
    sample = unit_vectors(600)
    before, found = faiss.omp_get_max_threads(), []
    try:
        for threads in (1, 3):
            faiss.omp_set_num_threads(threads)
            trained = train_index(key, "ip", sample, 5)
            lists = faiss.extract_index_ivf(trained)
            found.append(np.stack([lists.quantizer.reconstruct(number) for number in range(8)]))
            assert lists.clustering_index is None
    finally:
        faiss.omp_set_num_threads(before)
    np.testing.assert_array_equal(*found)
