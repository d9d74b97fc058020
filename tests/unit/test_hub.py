"""Data sets on a hub are read by their links: `hf://datasets/owner/name@revision/path`."""

from __future__ import annotations

import io
from collections.abc import Iterator

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark import storage
from clip_spark.errors import InputError, StorageError
from clip_spark.storage import files
from clip_spark.texts import corpus
from clip_spark.texts.corpus import Account
from clip_spark.texts.corpus.rows import read_tables
from tests.services.hub import GATED, SLOW_DOWN, Hub, running_hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running_hub() as found:
        monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": found.url, "token": "mine"})
        files.forget_clients()
        found.files["me/set"] = {"data/a.csv": b"prompt,url\na dog,http://a/b.jpg\n", "data/b.parquet": parquet()}
        yield found
    files.forget_clients()


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"prompt": ["a cat"], "url": ["http://a/c.jpg"]}), sink)
    return sink.getvalue()


def rows(uri: str) -> list[dict[str, object]]:
    listed = corpus.list_corpus((uri,), "rows").files
    return [row for file in listed for table in read_tables(file.uri, "prompt", Account()) for row in table.to_pylist()]


@pytest.mark.parametrize(
    "uri", ["hf://datasets/me/set", "hf://datasets/me/set@main/data", "hf://datasets/me/set/data/*"]
)
def test_all_files_of_a_data_set_are_rows(hub: Hub, uri: str) -> None:
    assert [row["prompt"] for row in rows(uri)] == ["a dog", "a cat"]
    assert hub.tokens <= {"Bearer mine", ""}


def test_a_file_that_was_replaced_on_the_hub_is_another_input(hub: Hub) -> None:
    before = corpus.list_corpus(("hf://datasets/me/set",), "rows").files
    assert all(file.stamp for file in before)
    hub.files["me/set"]["data/a.csv"] = b"prompt,url\na doe,http://a/b.jpg\n"
    after = corpus.list_corpus(("hf://datasets/me/set",), "rows").files
    assert [file.stamp for file in before] != [file.stamp for file in after]


def test_what_is_missing_gated_or_asked_too_often_is_a_sentence(hub: Hub) -> None:
    with pytest.raises(InputError, match="hf://datasets/no/such.*does not exist"):
        corpus.list_corpus(("hf://datasets/no/such",), "rows")
    hub.odd["me/set"] = GATED
    with pytest.raises(InputError, match="gated.*HF_TOKEN"):
        storage.read_bytes("hf://datasets/me/set/data/a.csv")
    hub.odd["me/set"] = SLOW_DOWN
    files.forget_clients()
    with pytest.raises(StorageError, match="429"):
        storage.list_files("hf://datasets/me/set")


def test_a_hub_that_cannot_be_reached_is_a_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fsspec.config.conf, "hf", {"endpoint": "http://127.0.0.1:9"})
    files.forget_clients()
    with pytest.raises(StorageError, match="hf://datasets/me/set.*cannot be"):
        storage.read_bytes("hf://datasets/me/set/data/a.csv")
