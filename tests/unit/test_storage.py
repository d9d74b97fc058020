"""URIs in, bytes out; every write is atomic."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from clip_spark import storage
from clip_spark.errors import DatasetError, InputError
from clip_spark.storage.listing import parse_time


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    place = str(tmp_path / "a.bin")
    storage.write_bytes(place, b"old")
    with pytest.raises(ZeroDivisionError), storage.open_write(place) as stream:
        stream.write(b"half of the new")
        raise ZeroDivisionError
    assert storage.read_bytes(place) == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_listing_is_recursive_sorted_and_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b/2.txt", "b/10.txt", "a.txt", ".hidden", "_SUCCESS", "b/.x.txt", "b/c.tmp"):
        storage.write_bytes(str(tmp_path / name), b"12")
    found = storage.list_files(str(tmp_path))
    assert [file.uri.removeprefix(str(tmp_path)) for file in found] == ["/a.txt", "/b/10.txt", "/b/2.txt"]
    assert {file.bytes for file in found} == {2} and all(file.stamp for file in found)


def test_listing_takes_globs_single_files_and_absent_places(tmp_path: Path) -> None:
    storage.write_bytes(str(tmp_path / "a.txt"), b"")
    storage.write_bytes(str(tmp_path / "b.gz"), b"")
    assert [storage.name(f.uri) for f in storage.list_files(str(tmp_path / "*.gz"))] == ["b.gz"]
    assert [storage.name(f.uri) for f in storage.list_files(str(tmp_path / "a.txt"))] == ["a.txt"]
    assert storage.list_files(str(tmp_path / "absent")) == []


def test_a_linked_file_is_listed_and_a_circle_of_folders_ends(tmp_path: Path) -> None:
    storage.write_bytes(str(tmp_path / "data" / "a.txt"), b"12")
    (tmp_path / "data" / "link.txt").symlink_to(tmp_path / "data" / "a.txt")
    (tmp_path / "data" / "circle").symlink_to(tmp_path / "data")
    found = storage.list_files(str(tmp_path / "data"))
    assert [(storage.name(file.uri), file.bytes) for file in found] == [("a.txt", 2), ("link.txt", 2)]


@given(st.datetimes(timezones=st.just(UTC)), st.sampled_from(["seconds", "milliseconds"]), st.booleans())
def test_times_of_listings_are_what_botocore_reads(time: datetime, precision: str, iso: bool) -> None:
    said = time.isoformat(timespec=precision).replace("+00:00", "Z") if iso else format_datetime(time, usegmt=True)
    assert parse_time(said) == parse_timestamp(said)


def test_remote_listing_keeps_the_scheme() -> None:
    storage.write_bytes("memory://listed/x/a.txt", b"1")
    assert [f.uri for f in storage.list_files("memory://listed")] == ["memory:///listed/x/a.txt"]


def test_an_unknown_scheme_is_one_sentence() -> None:
    with pytest.raises(InputError, match="no reader for scheme 's4://'.*Did you mean 's3'"):
        storage.exists("s4://bucket/a")


def test_relative_places_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.absolute("x/y") == str(tmp_path / "x/y")
    assert storage.absolute("s3://b/x/") == "s3://b/x"


def test_broken_json_and_missing_files_are_dataset_errors(tmp_path: Path) -> None:
    storage.write_bytes(str(tmp_path / "m.json"), b'{"cut sho')
    with pytest.raises(DatasetError, match="is not valid JSON"):
        storage.read_json(str(tmp_path / "m.json"))
    with pytest.raises(DatasetError, match="is missing"):
        storage.file_size(str(tmp_path / "gone"))


def test_of_many_that_create_a_local_file_one_wins(tmp_path: Path) -> None:
    place = str(tmp_path / "d" / "plan.json")
    with ThreadPoolExecutor(8) as pool:
        wins = list(pool.map(lambda n: storage.create_bytes(place, b"%d" % n), range(16)))
    assert wins.count(True) == 1 and storage.read_bytes(place) == b"%d" % wins.index(True)
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["plan.json"]


def test_threads_share_a_client() -> None:
    with ThreadPoolExecutor(8) as pool:
        clients = set(pool.map(lambda _: id(storage.filesystem("s3://bucket/a")[0]), range(8)))
    assert len(clients) == 1
