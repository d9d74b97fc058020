"""One server for all tests of the page and its API, over two small indices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog
from clip_spark.web.guard import Rules
from clip_spark.web.origins import names_on
from tests.helpers_map import make_small_map
from tests.helpers_web import make_indices
from tests.web.browser import CHROMIUM, FLAGS


@pytest.fixture(scope="session")
def indices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_indices(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def map_uri(indices: dict[str, str]) -> str:
    """The map of both indices' embeddings."""
    return make_small_map(Path(indices["images"]).parent, "emoji").uri


@pytest.fixture(scope="session")
def catalog(indices: dict[str, str], map_uri: str) -> Catalog:
    return Catalog.open(indices, {"emoji": map_uri})


@pytest.fixture(scope="session")
def client(catalog: Catalog) -> Iterator[TestClient]:
    app = create_app(catalog, Rules(names_on("127.0.0.1"), most_bytes=1 << 20), max_k=200)
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium; its page talks to no host but the server's."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield running
        running.close()
