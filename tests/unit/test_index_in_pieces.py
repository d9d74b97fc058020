"""An index in an object store answers as a local one does, and reads a part of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from clip_spark import storage
from clip_spark.datasets.manifest import MANIFEST
from clip_spark.errors import DatasetError, SpecError
from clip_spark.index.files import part_head, pieces
from clip_spark.index.files.faiss_library import has_rabitq
from clip_spark.index.files.layout import IndexFile
from clip_spark.index.files.whole import fetch_all
from clip_spark.index.open import arrow_pieces
from clip_spark.index.open import vectors as stored
from clip_spark.index.open.piece_records import open_records
from clip_spark.index.open.records import RecordReader
from clip_spark.index.open.removals import take_down
from clip_spark.index.open.selection import select_where
from clip_spark.search.hits import Hits, Wanted
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import unit_vectors
from tests.helpers_pieces import put_away, write_listed

ROWS, DIM = 6000, 32
KINDS = {"IVF32,Flat": 0, "IVF32,SQ8": 3, "OPQ8_32,IVF32,PQ8x4": 8, "IVF64_HNSW16,Flat": 0}
KINDS |= {"RR32,IVF32,RaBitQ": 16} if has_rabitq() else {}
"""Faiss key -> candidates per hit that are compared again."""
WANTED = (
    Wanted(k=10),
    Wanted(k=10, offset=5, columns=("text",)),
    Wanted(k=8, unique=0.6),
    Wanted(k=300),
    Wanted(k=5, where="text like '%7%'"),
    Wanted(k=5, threshold=0.5),
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and small blocks, so that pieces are pieces."""
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pieces, "WHOLE_BYTES", 1 << 10)
    monkeypatch.setattr(pieces, "BLOCK_BYTES", 256)
    monkeypatch.setattr(pieces, "GAP_BYTES", 512)
    monkeypatch.setattr(part_head, "OTHER_BYTES", 1 << 10)
    monkeypatch.setattr(arrow_pieces, "BEGIN_BYTES", 512)
    monkeypatch.setattr(arrow_pieces, "END_BYTES", 64)
    return tmp_path / "cache"


@pytest.fixture
def away(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a place that is not local."""
    yield (name := f"pieces-{abs(hash(request.node.nodeid))}")
    fs = fsspec.filesystem("memory")
    if fs.exists(f"/{name}"):
        fs.rm(f"/{name}", recursive=True)


def found(searcher: Searcher, queries: np.ndarray, wanted: Wanted, kind: str) -> list[list[tuple[object, ...]]]:
    return [_plain(hits) for hits in searcher.search(queries, wanted, kind=kind)]


def _plain(hits: Hits) -> list[tuple[object, ...]]:
    return [(hit.rank, hit.score, hit.position, hit.record) for hit in hits]


@pytest.mark.parametrize("condition", ["doc.size = 7", "doc.lang = 'de'", "doc.lang = 'en' and doc.size < 40"])
def test_conditions_read_all_columns_that_may_hold_what_they_name(tmp_path: Path, away: str, condition: str) -> None:
    sizes = np.arange(ROWS) % 100
    langs = pa.array([{"lang": ("en", "de", "fr")[row % 3]} for row in range(ROWS)])
    table = pa.table({"record_id": [str(row) for row in range(ROWS)], "doc": langs, "doc.size": sizes})
    path = tmp_path / "index/records/0.arrow"
    path.parent.mkdir(parents=True)
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    file = IndexFile("records/0.arrow", 0, ROWS, path.stat().st_size, "")
    local = RecordReader(str(tmp_path / "index"), [file], "")
    remote = open_records("", [file], "", pieces.Pieces(put_away(str(tmp_path / "index"), away)))
    here, there = (select_where(records, ROWS, condition).mask for records in (local, remote))
    assert here.any() and here.tolist() == there.tolist()


@pytest.mark.parametrize("key", KINDS)
@pytest.mark.parametrize("parts", [1, 3])
def test_answers_are_those_of_the_local_index(tmp_path: Path, away: str, key: str, parts: int) -> None:
    folder = write_listed(tmp_path, unit_vectors(ROWS, DIM), key, parts=parts, rerank=KINDS[key])
    queries = unit_vectors(24, DIM, seed=9)
    uri = put_away(folder, away)
    for wanted, kind, count in product(WANTED, ("text", "image"), (1, 24)):
        with Searcher.open(folder) as local, Searcher.open(uri, fetch=False) as remote:
            assert remote.in_pieces
            expected = found(local, queries[:count], wanted, kind)
            assert found(remote, queries[:count], wanted, kind) == expected, (wanted, kind, count)
            assert any(expected)


def test_all_stored_vectors_come_in_blocks_as_of_the_local_index(
    tmp_path: Path, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "BLOCK_ROWS", 700)
    folder = write_listed(tmp_path, unit_vectors(ROWS, DIM), "IVF32,SQ8", rerank=KINDS["IVF32,SQ8"])
    with Searcher.open(folder) as local, Searcher.open(put_away(folder, away), fetch=False) as remote:
        here, there = (list(searcher.parts.vectors.blocks()) for searcher in (local, remote))
    assert max(len(rows) for _, rows in here) == 700 and sum(len(rows) for _, rows in here) == ROWS
    assert [first for first, _ in here] == [first for first, _ in there]
    for (_, one), (_, other) in zip(here, there, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("key", ["IVF32,Flat", "IVF32,SQ8"])
def test_what_was_taken_down_is_not_found(tmp_path: Path, away: str, key: str) -> None:
    folder = write_listed(tmp_path, unit_vectors(ROWS, DIM), key, rerank=KINDS[key])
    queries = unit_vectors(3, DIM, seed=9)
    with Searcher.open(folder) as local:
        first = [hit.record["record_id"] for hits in local.search_embeddings(queries, 4) for hit in hits]
    uri = put_away(folder, away)
    take_down(folder, first)
    take_down(uri, first)
    with Searcher.open(folder) as local, Searcher.open(uri, fetch=False) as remote:
        assert remote.rows == local.rows == ROWS - len(set(first))
        got = found(remote, queries, Wanted(k=10), "text")
        assert got == found(local, queries, Wanted(k=10), "text")
        assert not {hit[3]["record_id"] for hits in got for hit in hits} & set(first)


def test_a_query_reads_its_lists_and_its_records(tmp_path: Path, away: str) -> None:
    uri = put_away(write_listed(tmp_path, unit_vectors(ROWS, DIM), "IVF32,Flat", nprobe=1), away)
    whole = sum(file.bytes for file in storage.list_files(uri))
    with Searcher.open(uri, fetch=False) as remote:
        opened = remote.pieces.fetched
        remote.search_embedding(unit_vectors(1, DIM, seed=9)[0], 3)
        once = remote.pieces.fetched
        assert opened < once < whole / 8
        remote.search_embedding(unit_vectors(1, DIM, seed=9)[0], 3)
        assert remote.pieces.fetched == once


def test_the_quantizers_are_fetched_once_for_all_parts(tmp_path: Path, away: str) -> None:
    vectors, fetched = unit_vectors(ROWS, DIM), []
    for parts in (1, 3):
        uri = put_away(write_listed(tmp_path / str(parts), vectors, "IVF256,Flat", parts=parts), f"{away}-{parts}")
        with Searcher.open(uri, fetch=False) as remote:
            fetched.append(remote.pieces.fetched)
    assert fetched[1] - fetched[0] < 256 * DIM * 4


def test_columns_that_the_manifest_does_not_name_are_read_from_the_files(tmp_path: Path, away: str) -> None:
    folder = write_listed(tmp_path, unit_vectors(ROWS, DIM), "IVF32,Flat")
    place, query = Path(folder, MANIFEST), unit_vectors(1, DIM, seed=9)
    head = json.loads(place.read_text())
    place.write_text(json.dumps({**head, "extra": {**head["extra"], "columns": ""}}))
    with Searcher.open(folder) as local, Searcher.open(put_away(folder, away), fetch=False) as remote:
        assert remote.records.schema == local.records.schema
        assert found(remote, query, Wanted(), "text") == found(local, query, Wanted(), "text")


def test_a_record_that_no_search_has_found_is_like_others(tmp_path: Path, away: str) -> None:
    folder = write_listed(tmp_path, unit_vectors(ROWS, DIM), "IVF32,Flat")
    with Searcher.open(folder) as local, Searcher.open(put_away(folder, away), fetch=False) as remote:
        record_id = local.records.take(np.array([4321])).to_pylist()[0]["record_id"]
        assert _plain(remote.search_like(record_id)) == _plain(local.search_like(record_id))


def test_what_is_here_is_let_go_of_before_it_is_too_much(
    tmp_path: Path, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_listed(tmp_path, unit_vectors(ROWS, DIM), "IVF32,Flat")
    monkeypatch.setenv("CLIP_SPARK_CACHE_SIZE", "1M")
    with Searcher.open(folder) as local, Searcher.open(put_away(folder, away), fetch=False) as remote:
        for seed in range(12):
            query = unit_vectors(2, DIM, seed=seed)
            wanted = Wanted(k=10, unique=0.9)
            assert found(remote, query, wanted, "image") == found(local, query, wanted, "image")
        assert remote.pieces.fetched > 2 * remote.pieces.held


def test_a_search_that_needs_more_than_the_cache_may_hold_is_refused(
    tmp_path: Path, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = put_away(write_listed(tmp_path, unit_vectors(ROWS, DIM), "IVF32,Flat"), away)
    monkeypatch.setenv("CLIP_SPARK_CACHE_SIZE", "400K")
    query = unit_vectors(1, DIM, seed=9)
    with Searcher.open(uri, fetch=False) as remote:
        assert len(remote.search(query, Wanted(k=3))[0]) == 3
        with pytest.raises(SpecError, match="CLIP_SPARK_CACHE_SIZE allows"):
            remote.search(query, Wanted(k=3, where="text like '%7%'"))
        assert len(remote.search(query, Wanted(k=3))[0]) == 3


def test_a_search_may_be_ended_between_fetches(tmp_path: Path, away: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = put_away(write_listed(tmp_path, unit_vectors(ROWS, DIM), "IVF32,Flat"), away)
    monkeypatch.setattr(pieces, "HELD_BYTES", 20_000)
    query = unit_vectors(1, DIM, seed=9)
    with Searcher.open(uri, fetch=False) as remote:
        before, calls = remote.pieces.fetched, iter([None] * 3)

        def check() -> None:
            if next(calls, "over") is not None:
                raise TimeoutError

        remote.pieces.check = check
        with pytest.raises(TimeoutError):
            remote.search(query, Wanted(k=3))
        assert remote.pieces.fetched > before
        remote.pieces.check = lambda: None
        assert len(remote.search(query, Wanted(k=3))[0]) == 3


def test_searches_of_many_threads_are_right_while_pieces_are_let_go_of(
    tmp_path: Path, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_listed(tmp_path, unit_vectors(ROWS, DIM), "IVF32,SQ8", rerank=3)
    monkeypatch.setenv("CLIP_SPARK_CACHE_SIZE", "1M")
    with Searcher.open(folder) as local, Searcher.open(put_away(folder, away), fetch=False) as remote:

        def same(seed: int) -> bool:
            query, wanted = unit_vectors(1, DIM, seed=seed), WANTED[seed % len(WANTED)]
            return found(remote, query, wanted, "image") == found(local, query, wanted, "image")

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(same, range(48)))


def test_an_index_that_was_fetched_is_read_from_the_cache(tmp_path: Path, away: str) -> None:
    uri = put_away(write_listed(tmp_path, unit_vectors(ROWS, DIM), "IVF32,SQ8", rerank=3), away)
    with Searcher.open(uri, fetch=False) as remote:
        assert not fetch_all(uri, remote.info, lambda: False)
        assert fetch_all(uri, remote.info, lambda: True)
    with Searcher.open(uri, fetch=False) as again:
        assert not again.in_pieces


@pytest.mark.parametrize("key", ["Flat", "IVF32,PQ8x4fs"])
def test_a_kind_that_cannot_be_read_in_pieces_is_fetched_and_told(
    tmp_path: Path, away: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "clip_spark")
    folder = write_listed(tmp_path, unit_vectors(ROWS, DIM), key)
    with Searcher.open(folder) as local, Searcher.open(put_away(folder, away), fetch=False) as remote:
        assert not remote.in_pieces and " fetched: " in caplog.text
        query = unit_vectors(1, DIM, seed=9)
        assert found(remote, query, Wanted(), "text") == found(local, query, Wanted(), "text")


def test_a_part_that_is_shorter_than_its_index_says_is_refused(tmp_path: Path, away: str) -> None:
    folder = write_listed(tmp_path, unit_vectors(ROWS, DIM), "IVF32,Flat", nprobe=32)
    part = next(Path(folder).rglob("part-002.index"))
    part.write_bytes(part.read_bytes()[:-1000])
    uri = put_away(folder, away)
    with Searcher.open(uri, fetch=False) as remote, pytest.raises(DatasetError, match="part-002"):
        remote.search_embedding(unit_vectors(1, DIM)[0], 3)
