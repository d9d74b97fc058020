"""An index in an object store is served from pieces at once, and from this machine when all of it was fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fastapi.testclient import TestClient

from clip_spark import storage
from clip_spark.errors import StorageError
from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog
from clip_spark.web.reload import Reloader
from clip_spark.web.whole_files import WholeFiles
from tests.helpers_embeddings import unit_vectors
from tests.helpers_pieces import put_away, write_listed
from tests.helpers_web import encoder

NAME = "whole-files"


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An index that is not local, of which nothing is here."""
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path / "cache"))
    about = encoder().info()
    folder = write_listed(tmp_path, unit_vectors(3000, about["dim"]), "IVF32,Flat", encoder=about)
    yield put_away(folder, NAME)
    fsspec.filesystem("memory").rm(f"/{NAME}", recursive=True)


def served(uri: str) -> tuple[Any, TestClient]:
    app = create_app(Catalog.open({"words": uri}))
    return app, TestClient(app, base_url="http://127.0.0.1:8000")


def found(client: TestClient) -> list[Any]:
    answer = client.get("/search", params={"q": "text 7", "k": 5})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["hits"])


def test_pieces_answer_first_and_whole_files_later(uri: str) -> None:
    app, client = served(uri)
    (index,) = app.state.catalog.indices.values()
    before = found(client)
    assert client.get("/card").json()["in_pieces"] and uri in index.summary
    reloader = Reloader(app.state, {"words": uri})
    reloader.look()
    assert client.get("/card").json()["in_pieces"]  # nothing was fetched yet
    WholeFiles(app.state).look()
    reloader.look()
    assert not client.get("/card").json()["in_pieces"]
    fsspec.filesystem("memory").rm(f"/{NAME}/parts", recursive=True)
    assert found(client) == before


def test_a_store_that_is_down_is_unavailable(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, client = served(uri)

    def down(_: object) -> None:
        raise StorageError("The store does not answer.")

    monkeypatch.setattr(storage, "read_ranges", down)
    answer = client.get("/search", params={"q": "text 7", "k": 2000})
    assert answer.status_code == 503 and answer.json()["code"] == "unavailable"


def test_an_index_larger_than_the_cache_stays_in_pieces(
    uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app, client = served(uri)
    before = found(client)
    monkeypatch.setenv("CLIP_SPARK_CACHE_SIZE", "100K")
    beside = WholeFiles(app.state)
    beside.look()
    beside.look()
    Reloader(app.state, {"words": uri}).look()
    assert client.get("/card").json()["in_pieces"] and found(client) == before
    assert caplog.text.count("larger than the cache") == 1
