"""Lines in which a text stands: over HTTP, and below the details of a text on the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from clip_spark.datasets.manifest import read_manifest
from clip_spark.errors import InputError
from clip_spark.texts.ngrams.examples.spec import SampleLinesSpec
from clip_spark.texts.ngrams.examples.step import sample_lines
from clip_spark.web import server
from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog
from clip_spark.web.guard import Rules
from clip_spark.web.origins import names_on
from clip_spark.web.spec import ServeSpec
from tests.helpers_examples import broadcasting, write_counts_of
from tests.web.browser import needs_browser
from tests.web.served import served


@pytest.fixture(scope="module")
def word(catalog: Catalog) -> str:
    """A text of the index of texts."""
    return next(str(record["text"]) for record in catalog.get("words").spread(9, "") if str(record["text"]).islower())


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory, word: str) -> str:
    folder = tmp_path_factory.mktemp("examples")
    lines = [f"A {word.upper()} number {number} was seen." for number in range(9)] + ["<b>nothing</b> else"]
    counts = write_counts_of(folder, lines, [word, "nothing"])
    with pytest.MonkeyPatch.context() as patch:
        sample_lines(broadcasting(patch), SampleLinesSpec(ngrams=counts, output=str(folder / "out")))
    return str(folder / "out")


def client_of(catalog: Catalog, *examples: str) -> TestClient:
    app = create_app(catalog, Rules(names_on("127.0.0.1")), examples=[read_manifest(uri) for uri in examples])
    return TestClient(app, base_url="http://127.0.0.1:8000")


def test_an_ngram_is_answered_with_its_lines(catalog: Catalog, examples: str, word: str) -> None:
    client = client_of(catalog, examples)
    found = client.get("/lines", params={"text": word.title()}).json()
    assert len(found["lines"]) == 3 and all(word.upper() in one["line"] for one in found["lines"])
    assert {one["source"].rsplit("/", 1)[1] for one in found["lines"]} == {"a.txt"}
    assert client.get("/lines", params={"text": "never seen"}).json() == {"text": "never seen", "lines": []}
    assert len(client_of(catalog, examples, examples).get("/lines", params={"text": word}).json()["lines"]) == 6
    assert client.get("/lines").status_code == 400 and client.get("/lines?text=a&other=b").status_code == 400


def test_a_server_without_examples_says_so(catalog: Catalog, examples: str) -> None:
    with_them, without = client_of(catalog, examples), client_of(catalog)
    assert {index["lines"] for index in with_them.get("/indices").json()} == {True}
    assert {index["lines"] for index in without.get("/indices").json()} == {False}
    assert without.get("/lines?text=cat").json() == {"text": "cat", "lines": []}


def test_what_is_no_examples_is_said_before_anything_is_loaded(indices: dict[str, str]) -> None:
    spec = ServeSpec(index=(indices["words"],), examples=(indices["words"],), port=0)
    with pytest.raises(InputError, match="examples"):
        server.run(spec, lambda address, lines: None)


@pytest.fixture(scope="module")
def url(indices: dict[str, str], examples: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(indices, tmp_path_factory.mktemp("server") / "log", "--examples", examples) as found:
        yield found


@needs_browser
def test_the_details_of_a_text_show_its_lines_and_a_line_finds_pictures(browser: Any, url: str, word: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{url}?q={word}&index=words")
    page.locator("#results > li .info").first.click()
    lines = page.locator("#details .stands li a")
    lines.first.wait_for()
    assert lines.count() == 3 and word.upper() in lines.first.inner_text()
    lines.first.click()
    page.wait_for_url("**index=images**")
    page.locator("#results > li img").first.wait_for()
    context.close()


def test_records_of_the_wrong_kind_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist|no dataset|nothing"):
        server.run(ServeSpec(index=("x",), examples=(str(tmp_path / "none"),), port=0), lambda address, lines: None)
