"""The page in a real browser: it asks no other host, finds, goes on from a hit, takes pictures, survives mistakes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers_web import HOSTILE
from tests.web.browser import needs_browser
from tests.web.served import served

api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
expect = api.expect
expect.set_options(timeout=60_000)
pytestmark = needs_browser

DROP = """(data) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], "dropped.png", {type: "image/png"}));
  document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true}));
}"""


@pytest.fixture(scope="module")
def url(indices: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(indices, tmp_path_factory.mktemp("server") / "log") as found:
        yield found


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    """A fresh page; at its end: nothing went to another host, and no script failed."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert requests and not [one for one in requests if not one.startswith((url, "blob:", "data:"))]
    assert not errors
    context.close()


def open_page(page: Any, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("#results > li:not(.ghost), #error:not([hidden])", state="attached")


def ask(page: Any, words: str) -> None:
    page.fill("#words", words)
    page.press("#words", "Enter")
    answered(page)


def answered(page: Any) -> None:
    expect(page.locator("#status")).to_contain_text("The nearest of")


def shows_pictures(page: Any, count: int) -> bool:
    script = "[...document.querySelectorAll('.frame img')].filter((one) => one.naturalWidth === 64).length"
    for _ in range(300):
        if page.evaluate(script) >= count:
            return True
        page.wait_for_timeout(200)
    return False


def titles(page: Any) -> list[str]:
    return page.locator("#results .caption span:first-child, #results .text").all_inner_texts()


def test_words_give_pictures_and_an_address_to_share(page: Any, url: str) -> None:
    open_page(page, url)
    assert page.locator("#hero h1").inner_text() == "Search 48 pictures by meaning"
    assert page.locator(".examples a").count() > 2
    ask(page, "cat & dog")
    assert shows_pictures(page, 6)
    assert "q=cat+%26+dog" in page.url
    found = titles(page)
    assert len(found) == 40
    page.reload()
    answered(page)
    assert titles(page)[:40] == found


def test_scrolling_brings_the_rest(page: Any, url: str) -> None:
    open_page(page, f"{url}?q=cat")
    page.mouse.wheel(0, 9000)
    expect(page.locator("#results > li")).to_have_count(48)
    assert page.locator("#more").is_hidden()
    assert len(titles(page)) == 48


def test_a_hit_leads_to_more_like_it_and_back(page: Any, url: str) -> None:
    open_page(page, f"{url}?q=cat")
    before = titles(page)
    page.locator(".card > a").nth(1).click()
    page.wait_for_selector("#query:not([hidden])")
    assert "like=" in page.url
    assert before[1] in page.locator("#query").inner_text()
    assert page.locator("#results b").first.inner_text() >= page.locator("#results b").nth(1).inner_text()
    page.go_back()
    expect(page.locator("#words")).to_have_value("cat")
    answered(page)
    assert titles(page)[:40] == before[:40]


@pytest.mark.parametrize("way", ["choose", "drop"])
def test_a_picture_finds_itself(page: Any, url: str, way: str, client: Any, tmp_path: Path) -> None:
    record = client.get("/sample?k=3").json()["records"][1]
    data = client.get(f"/{record['picture']}").content
    open_page(page, url)
    if way == "choose":
        (tmp_path / "mine.png").write_bytes(data)
        page.set_input_files("#file", tmp_path / "mine.png")
    else:
        page.evaluate(DROP, base64.b64encode(data).decode())
    page.wait_for_selector("#query:not([hidden])")
    assert "Similar to your picture" in page.locator("#query").inner_text()
    assert titles(page)[0] == record["title"]
    assert page.locator("#results b").first.inner_text() == "1.000"
    page.locator("#indices a", has_text="words").click()  # the same picture, asked of another index
    page.wait_for_selector("#results.texts .row:not(.ghost)")
    assert page.locator("#query").is_visible()


def test_near_duplicates_can_be_hidden(page: Any, url: str, client: Any) -> None:
    open_page(page, f"{url}?q=cat")
    page.locator("#options a", has_text="Hide near-duplicates").click()
    expect(page.locator("#options [aria-pressed=true]")).to_have_count(1)
    expected = client.get("/search", params={"q": "cat", "unique": 0.95}).json()["hits"]
    expect(page.locator("#results .caption span:first-child").first).to_have_text(expected[0]["title"])
    assert "unique=0.95" in page.url
    assert titles(page)[: len(expected)] == [hit["title"] for hit in expected]


def test_details_lead_to_the_texts_of_a_picture(page: Any, url: str) -> None:
    open_page(page, f"{url}?q=cat")
    page.locator(".card").first.hover()
    page.locator(".card .info").first.click()
    assert page.locator("dialog h2").inner_text() == titles(page)[0]
    page.locator("dialog a", has_text="Texts for this picture").click()
    page.wait_for_selector("#results.texts .row:not(.ghost)")
    assert "of=images" in page.url and "index=words" in page.url


def test_the_keyboard_is_enough(page: Any, url: str) -> None:
    open_page(page, url)
    page.keyboard.press("/")
    page.keyboard.type("cat")
    page.keyboard.press("Enter")
    answered(page)
    page.locator(".card > a").first.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "info"
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_texts_stay_text(page: Any, url: str) -> None:
    open_page(page, url)
    page.locator("#indices a", has_text="words").click()
    page.wait_for_selector("#results.texts .row:not(.ghost)")
    ask(page, HOSTILE)
    assert titles(page)[0] == HOSTILE
    assert page.locator("#results img").count() == 0 and "broken" not in page.title().removeprefix(HOSTILE)


def test_mistakes_are_said_on_the_page(page: Any, url: str) -> None:
    open_page(page, f"{url}?like=nothing")
    assert page.locator("#error").inner_text() == "There is no record 'nothing' in index 'images'."
    page.evaluate(DROP, base64.b64encode(b"no picture").decode())
    expect(page.locator("#error")).to_contain_text("This is not a usable picture")
