"""Takedowns over HTTP: off unless asked for, never without the token, and the same as those of remove-records."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from clip_spark.errors import SpecError
from clip_spark.index.open.removals import read_removed
from clip_spark.search.hits import Wanted
from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog
from clip_spark.web.guard import Rules
from clip_spark.web.origins import names_on
from clip_spark.web.spec import ServeSpec
from tests.helpers_web import make_indices
from tests.web.browser import has_focus, needs_browser, tab_to
from tests.web.served import served

TOKEN = "0123456789abcdef"
KNOWN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Indices that may lose records."""
    return make_indices(tmp_path_factory.mktemp("own"), 14)


@pytest.fixture(scope="module")
def catalog(own: dict[str, str]) -> Catalog:
    return Catalog.open(own)


def client_of(catalog: Catalog, **rules: Any) -> TestClient:
    return TestClient(create_app(catalog, Rules(names_on("127.0.0.1"), **rules)), base_url="http://127.0.0.1:8000")


def test_nobody_takes_down_who_may_not(catalog: Catalog, own: dict[str, str]) -> None:
    allowing = client_of(catalog, token=TOKEN, takedowns=True)
    body = {
        "index": "images",
        "record_ids": [allowing.get("/sample", headers=KNOWN).json()["records"][0]["record"]["record_id"]],
    }
    for client, headers, status in (
        (client_of(catalog), {}, 400),
        (client_of(catalog, token=TOKEN), KNOWN, 400),
        (client_of(catalog, takedowns=True), {}, 400),
        (allowing, {}, 401),
        (allowing, {"Authorization": "Bearer wrong-wrong-wrong"}, 401),
        (allowing, {**KNOWN, "Origin": "http://evil.example"}, 403),
        (allowing, {**KNOWN, "Sec-Fetch-Site": "cross-site"}, 403),
        (allowing, {**KNOWN, "Host": "evil.example"}, 400),
    ):
        assert client.post("/takedown", json=body, headers=headers).status_code == status
    assert [index["takedowns"] for index in client_of(catalog).get("/indices").json()] == [False, False]
    wrong = {**body, "record_ids": [*body["record_ids"], "nobody"]}
    assert allowing.post("/takedown", json=wrong, headers=KNOWN).status_code == 404
    assert allowing.post("/takedown", json={**body, "index": "other"}, headers=KNOWN).status_code == 404
    assert allowing.post("/takedown", json={**body, "record_ids": []}, headers=KNOWN).status_code == 400
    assert read_removed(own["images"]) == []
    with pytest.raises(SpecError, match="needs --token"):
        ServeSpec(index=("a",), takedowns=True)


def test_what_is_taken_down_is_found_no_more_and_is_a_takedown_like_any_other(
    catalog: Catalog, own: dict[str, str]
) -> None:
    client = client_of(catalog, token=TOKEN, takedowns=True)
    ask = {"q": "cat", "k": 14}
    ids = [hit["record"]["record_id"] for hit in client.get("/search", params=ask, headers=KNOWN).json()["hits"]]
    body = {"index": "images", "record_ids": [ids[0], ids[3], ids[0]]}
    assert client.post("/takedown", json=body, headers=KNOWN).json() == {"index": "images", "removed": 2}
    left = [hit["record"]["record_id"] for hit in client.get("/search", params=ask, headers=KNOWN).json()["hits"]]
    assert left == [one for one in ids if one not in body["record_ids"]]
    assert read_removed(own["images"]) == sorted({ids[0], ids[3]})
    assert client.post("/takedown", json=body, headers=KNOWN).json()["removed"] == 0, "the same again is no mistake"


@pytest.fixture
def page(browser: Any, own: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    with served(own, tmp_path / "log", "--token", TOKEN, "--takedowns") as url:
        context = browser.new_context(viewport={"width": 1200, "height": 900}, extra_http_headers=KNOWN)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{url}?q=cat")
        yield page
        context.close()


@needs_browser
def test_chosen_pictures_are_tagged_and_taken_down_by_keyboard_alone(page: Any, catalog: Catalog) -> None:
    expect = pytest.importorskip("playwright.sync_api").expect
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    expect(page.locator(".choice")).to_have_count(12)
    asked: list[str] = []
    page.on("request", lambda request: request.method == "POST" and asked.append(urlsplit(request.url).path))
    for number in (0, 2):
        tab_to(page, f"#results li:nth-child({number + 1}) .choice")
        page.keyboard.press("Space")
    ids = [page.locator("#results li").nth(number).get_attribute("data-record") for number in (0, 2)]
    tab_to(page, "#chosen button:nth-of-type(4)")
    assert page.locator(":focus").inner_text() == "Tags from words"
    page.keyboard.press("Enter")
    expect(page.locator(".tagged li")).to_have_count(2)
    assert axe.Axe().run(page).response["violations"] == []
    with page.expect_download() as saving:
        page.locator("#tags button", has_text="CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(saving.value.path()).read_text())))
    images, words = catalog.get("images"), catalog.get("words")
    for record_id in ids:
        mine = [row for row in rows if row["record_id"] == record_id]
        nearest = words.nearest(images.embedding_of(record_id), Wanted(k=5), kind="image")
        assert [row["tag"] for row in mine] == [hit.record["text"] for hit in nearest]
    page.keyboard.press("Escape")
    expect(page.locator(":focus")).to_have_text("Tags from words")
    page.on("dialog", lambda dialog: dialog.accept())
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Take down"
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text("2 records of images were taken down.")
    expect(page.locator("#results li")).to_have_count(10)
    assert has_focus(page), "the bar is gone, and with it the button"
    assert asked == ["/query", "/takedown"], "a round trip each"
    page.reload()
    expect(page.locator("#results li:not(.ghost)")).to_have_count(10)
    assert not set(ids) & {item.get_attribute("data-record") for item in page.locator("#results li").all()}
