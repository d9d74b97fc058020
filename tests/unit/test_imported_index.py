"""import-index: Faiss files of others, read apart; a damaged one is a sentence, whatever it does to its reader."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark import storage
from clip_spark.datasets.embeddings import read_embeddings
from clip_spark.datasets.manifest import Manifest
from clip_spark.errors import InputError, ModelError
from clip_spark.index.build.build import build_index
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.imported import foreign_file
from clip_spark.index.imported.foreign_file import AS_IT_IS, ask
from clip_spark.index.specs import IndexSpec
from clip_spark.runtime.child_process import DEADLY, TOO_LONG, Apart
from clip_spark.search.searcher import Searcher
from tests.helpers_adopted import serve, write_foreign
from tests.helpers_imported import imports_run_here, metadata, take_index, unit

ROWS = 60
KEYS = ("Flat", "IDMap,Flat", "HNSW8", "IVF4,Flat", "IVF4,SQ8", "PCAR3,IVF4,Flat", "IVF4,PQ3x4")
SERVED = ("Flat", "IDMap,Flat", "HNSW4", "IDMap,HNSW4", "IVF4,Flat", "IVF4,SQ8", "SQ8", "HNSW4_SQ8")
SERVED += ("OPQ3_3,IVF4_HNSW4,PQ3x4",)
HUGE = (0, 2**31, 2**40, 2**63 - 1, 2**64 - 1)
MUTATIONS = int(os.environ.get("MUTATIONS", "20"))


@pytest.fixture(scope="module")
def child() -> Iterator[foreign_file.Child]:
    """One for all tests: it takes a second or more to start."""
    few = replace(foreign_file.limits(1 << 20), seconds=10, most_deadly=MUTATIONS)
    with Apart(foreign_file.answer, few) as child:
        yield child


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, child: foreign_file.Child) -> None:
    imports_run_here(monkeypatch)
    monkeypatch.setattr(foreign_file, "_child_of", lambda path, size: child)


def write_index(place: Path, key: str, vectors: np.ndarray) -> None:
    faiss = load_faiss()
    index = faiss.index_factory(vectors.shape[1], key, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    if key.startswith("IDMap"):  # in another order than their ids
        index.add_with_ids(vectors[::-1].copy(), np.arange(len(vectors))[::-1].copy())
    else:
        index.add(vectors)
    place.parent.mkdir(parents=True, exist_ok=True)
    faiss.write_index(index, str(place))


def vectors_of(manifest: Manifest) -> np.ndarray:
    return np.concatenate([found for uri in manifest.files("embeddings") if len(found := read_embeddings(uri))])


def records_of(manifest: Manifest) -> list[dict[str, object]]:
    return [row for uri in manifest.files("records") for row in pq.read_table(uri).to_pylist()]


def test_clip_retrievals_folder_comes_over_and_is_searched(tmp_path: Path) -> None:
    vectors = unit(14)
    write_index(tmp_path / "in/image.index", "HNSW8", vectors)
    for number in range(2):
        metadata(tmp_path / "in", number, 7)
    found = take_index(tmp_path / "in", tmp_path / "emb")
    np.testing.assert_array_equal(vectors_of(found), vectors)
    assert [row["caption"] for row in records_of(found)] == [f"picture {n}-{row}" for n in range(2) for row in range(7)]
    assert found.extra["imported"]["kind"] == "IndexHNSWFlat" and found.extra["imported"]["exact"]
    build_index(lambda: None, IndexSpec(embeddings=(found.uri,), output=str(tmp_path / "index")))
    searcher = Searcher.open(str(tmp_path / "index"))
    hits = searcher.search_embedding(vectors[9], 3)
    best = np.argsort(-(vectors @ vectors[9]), kind="stable")[:3]
    assert [hit.record["url"] for hit in hits] == [f"https://example.org/{row // 7}-{row % 7}.jpg" for row in best]
    searcher.close()


@pytest.mark.parametrize("key", KEYS)
def test_vectors_come_out_in_the_order_of_their_ids(tmp_path: Path, key: str) -> None:
    vectors = unit(ROWS)
    write_index(tmp_path / "x.index", key, vectors)
    found = take_index(tmp_path / "x.index", tmp_path / "emb", modality="text", shard_rows=25, normalise=True)
    taken = vectors_of(found)
    if found.extra["imported"]["exact"]:
        np.testing.assert_array_equal(taken, vectors)
    else:
        assert (np.argmax(taken @ vectors.T, axis=1) == np.arange(ROWS)).mean() > 0.5
        np.testing.assert_allclose(np.linalg.norm(taken, axis=1), 1, atol=1e-3)
    assert found.extra["imported"]["exact"] == (key in ("Flat", "IDMap,Flat", "HNSW8", "IVF4,Flat"))


def test_fondants_id_mapping_must_be_in_order(tmp_path: Path) -> None:
    vectors = unit(8)
    write_index(tmp_path / "in/faiss", "Flat", vectors)
    (tmp_path / "in/id_mapping").mkdir()
    place = tmp_path / "in/id_mapping/part-00000000-x.parquet"
    pq.write_table(pa.table({"url": [f"http://x/{n}" for n in range(8)], "i": range(8)}), place)
    found = take_index(tmp_path / "in/faiss", tmp_path / "emb")
    assert [row["uri"] for row in records_of(found)] == [f"http://x/{n}" for n in range(8)]
    pq.write_table(pa.table({"url": ["u"] * 8, "i": [0, 1, 2, 3, 4, 5, 7, 6]}), place)
    with pytest.raises(InputError, match="'i' is not 0, 1, ...: these rows are not those of the vectors"):
        take_index(tmp_path / "in/faiss", tmp_path / "other")


def test_what_does_not_fit_is_one_sentence(tmp_path: Path) -> None:
    write_index(tmp_path / "in/image.index", "Flat", unit(14))
    metadata(tmp_path / "in", 0, 7)
    with pytest.raises(InputError, match=r"has 14 vectors and its metadata .* 7 rows"):
        take_index(tmp_path / "in", tmp_path / "emb")
    write_index(tmp_path / "four.index", "Flat", np.eye(4, dtype=np.float32))
    with pytest.raises(ModelError, match="have 4 numbers and those of 'colours:rgb' 3"):
        take_index(tmp_path / "four.index", tmp_path / "emb", modality="text")
    (tmp_path / "x.index").write_bytes(b"not Faiss at all")
    with pytest.raises(InputError, match="is no usable Faiss index"):
        take_index(tmp_path / "x.index", tmp_path / "emb")
    with pytest.raises(InputError, match="is no Faiss file, and no folder with image.index"):
        take_index(tmp_path / "in/metadata", tmp_path / "emb")


def damage(whole: bytes, random: np.random.Generator) -> bytes:
    """Cut short, bytes changed (most often in the header), numbers made huge, or pieces swapped."""
    data, kind = bytearray(whole), random.integers(4)
    if kind == 0:
        return whole[: random.integers(len(whole))]
    near = int(min(len(data) - 8, random.choice([64, 512, len(data) - 8])))
    at = int(random.integers(near))
    if kind == 1:
        for place in random.integers(0, near, size=int(random.integers(1, 9))):
            data[int(place)] = int(random.integers(256))
    elif kind == 2:
        data[at : at + 8] = HUGE[random.integers(len(HUGE))].to_bytes(8, "little")
    else:
        other, size = int(random.integers(near)), 8
        data[at : at + size], data[other : other + size] = data[other : other + size], data[at : at + size]
    return bytes(data)


def test_damaged_indices_are_refused_or_read_and_never_end_this_process(tmp_path: Path) -> None:
    """MUTATIONS files; whatever Faiss does with one (a crash, a hang, all memory), it does in a child process."""
    random, outcomes, place = np.random.default_rng(7), Counter[str](), tmp_path / "damaged.index"
    wholes = []
    for key in KEYS:
        write_index(place, key, unit(ROWS))
        wholes.append(place.read_bytes())
    for number in range(MUTATIONS):
        file = tmp_path / f"{number}.index"
        file.write_bytes(damage(wholes[number % len(wholes)], random))
        outcomes[tried(file)] += 1
        file.unlink()
    (tmp_path / "outcomes.json").write_text(json.dumps(outcomes))
    assert outcomes["refused"] > MUTATIONS // 4 and outcomes["read"] and sum(outcomes.values()) == MUTATIONS


def test_what_can_be_served_of_damaged_indices_never_ends_a_server(tmp_path: Path) -> None:
    """MUTATIONS files; those that adopt-index would take answer searches in another process, which none may end."""
    random, outcomes = np.random.default_rng(11), Counter[str]()
    wholes = []
    for key in SERVED:
        write_foreign(tmp_path / "whole.index", key, unit(5 * ROWS))
        wholes.append((tmp_path / "whole.index").read_bytes())
    with Apart(serve, foreign_file.limits(1 << 20)) as server:
        for number in range(MUTATIONS):
            file = tmp_path / f"{number}.index"
            file.write_bytes(damage(wholes[number % len(wholes)], random))
            outcomes[adopted(file, server)] += 1
            file.unlink()
    (tmp_path / "served.json").write_text(json.dumps(outcomes))
    assert outcomes["refused"] > MUTATIONS // 4 and outcomes["served"]


def adopted(place: Path, server: Apart[str, int]) -> str:
    """refused, or served; anything else is an error of ours."""
    try:
        ask(storage.list_files(str(place))[0], AS_IT_IS)
    except InputError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
        return "deadly, refused" if DEADLY in str(error) or TOO_LONG in str(error) else "refused"
    server(str(place))
    return "served"


def tried(place: Path) -> str:
    """refused, or read; anything else is an error of ours."""
    file = storage.list_files(str(place))[0]
    try:
        found = ask(file)
        vectors = ask(file, (0, min(found.rows, ROWS)))
    except InputError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
        return "deadly, refused" if DEADLY in str(error) or TOO_LONG in str(error) else "refused"
    assert vectors.shape == (min(found.rows, ROWS), found.dim)
    return "read"
