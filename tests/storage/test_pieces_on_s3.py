"""The first answer of an index on a real S3 server of which nothing is here: requests, bytes, and waits are few."""

from __future__ import annotations

from pathlib import Path

import pytest

from clip_spark import storage
from clip_spark.index.open.removals import take_down
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import unit_vectors
from tests.helpers_pieces import write_listed
from tests.services.proxy import fault_proxy
from tests.services.seaweed import S3Server

pytestmark = pytest.mark.storage

ROWS, DIM, LISTS, PARTS, HITS = 60_000, 64, 1024, 3, 5
FAR = 0.2
"""Seconds that each request takes longer, so that those that were sent together are told from those that waited."""


def put(folder: str, uri: str) -> int:
    """Copy an index to a server; its bytes."""
    files = storage.list_files(folder)
    for file in files:
        storage.write_bytes(uri + file.uri[len(folder) :], Path(file.uri).read_bytes())
    return sum(file.bytes for file in files)


@pytest.mark.parametrize("taken_down", [0, 3])
def test_a_first_answer_needs_few_bytes_and_few_waits(
    tmp_path: Path, bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch, taken_down: int
) -> None:
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path / "cache"))
    query = unit_vectors(1, DIM, seed=9)
    folder, wanted = write_listed(tmp_path, unit_vectors(ROWS, DIM), f"IVF{LISTS},Flat", parts=PARTS), Wanted(k=HITS)
    storage.forget_clients()
    size = put(folder, bucket)
    with Searcher.open(folder) as local:
        gone = [hit.record["record_id"] for hit in local.search(query, wanted)[0]][:taken_down]
    for uri in (folder, bucket) if gone else ():
        take_down(uri, gone)
    with fault_proxy(s3.port, wait=FAR) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        storage.forget_clients()
        with Searcher.open(bucket, fetch=False) as remote:
            assert remote.in_pieces
            hits = remote.search(query, wanted)[0]
    with Searcher.open(folder) as local:
        assert hits == local.search(query, wanted)[0]
    assert len(hits) == HITS and not {hit.record["record_id"] for hit in hits} & set(gone)
    assert proxy.longest_chain <= 10
    assert sum(one.bytes for one in proxy.passed) < size / 3  # all records' ids and a head of 64 KB are much of so few
    assert len(proxy.passed) < 60


def test_one_object_is_listed_by_its_name(bucket: str, s3: S3Server) -> None:
    storage.forget_clients()
    for name in ("a", "a.b", "a0", "b"):
        storage.write_bytes(f"{bucket}/{name}", b"12")
    assert [file.uri for file in storage.list_files(f"{bucket}/a")] == [f"{bucket}/a"]
    assert storage.list_files(f"{bucket}/a.") == [] == storage.list_files(f"{bucket}/c")
