"""Hits of several indices side by side: each as if it were asked alone, and what they share is marked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.browser import fresh_page, has_focus, needs_browser, tab_to
from tests.web.served import served

api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs pip install axe-playwright-python")
expect = api.expect
pytestmark = needs_browser


@pytest.fixture(scope="module")
def url(indices: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log"
    with served({**indices, "again": indices["images"]}, log) as found:
        yield found


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    with fresh_page(browser, 1400, 900) as page:
        yield page


def titles(page: Any, name: str) -> list[str]:
    return page.locator(f"section[aria-label={name}] :is(.caption span:first-child, .text)").all_inner_texts()


def test_each_column_is_what_its_index_alone_would_say(page: Any, url: str, client: Any) -> None:
    page.goto(f"{url}?q=cat")
    for name in ("words", "again"):
        page.locator("#options a", has_text=f"Side by side with {name}").click()
        expect(page.locator(f"section[aria-label={name}] li:not(.ghost)")).not_to_have_count(0)
    assert "compare=words%2Cagain" in page.url
    for name, index in (("words", "words"), ("again", "images")):
        hits = client.get("/search", params={"q": "cat", "index": index, "k": 40}).json()["hits"]
        assert titles(page, name) == [hit["title"] for hit in hits]
    expect(page.locator("section[aria-label=again] .note")).to_have_text("40 of 40 hits are found in images too")
    page.locator("#results li > a").nth(2).focus()
    same = page.locator("section[aria-label=again] .same .caption span:first-child")
    expect(same).to_have_text(page.locator("#results .caption span:first-child").nth(2).inner_text())
    page.locator("#more").click()
    for column in ("#results", "section[aria-label=again]"):
        expect(page.locator(f"{column} li:not(.ghost)")).to_have_count(48)
    page.fill("#words", "dog")
    page.press("#words", "Enter")
    expect(page.locator("section[aria-label=words] .text").first).to_have_text(
        client.get("/search", params={"q": "dog", "index": "words"}).json()["hits"][0]["title"]
    )
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []
    page.locator("[aria-label='Without words']").click()
    expect(page.locator("#columns section")).to_have_count(2)
    page.go_back()
    expect(page.locator("#columns section")).to_have_count(3)


def test_a_record_is_asked_of_the_others_and_what_one_cannot_answer_is_said_there(page: Any, url: str) -> None:
    page.route("**/search?*index=words*", lambda route: route.fulfill(status=400, json={"message": "Not today."}))
    page.goto(f"{url}?q=cat&compare=again,words")
    expect(page.locator("section[aria-label=words] .note")).to_have_text("Not today.")
    page.locator("section[aria-label=again] li > a").first.click()
    page.wait_for_selector("#query:not([hidden])")
    page.goto(f"{page.url}&compare=words,images")
    expect(page.locator("section[aria-label=images] li:not(.ghost)")).not_to_have_count(0)
    assert titles(page, "images")[1:] == page.locator("#results .caption span:first-child").all_inner_texts()[:39]


def test_columns_need_no_pointer_and_no_round_trip_of_their_own(page: Any, url: str) -> None:
    page.goto(f"{url}?q=cat")
    expect(page.locator("#results li:not(.ghost)")).to_have_count(40)
    events: list[str] = []
    page.on("request", lambda request: "/search" in request.url and events.append("asked"))
    page.on("response", lambda response: "/search" in response.url and events.append("answered"))
    tab_to(page, "#options a[href*='compare=words']")
    page.keyboard.press("Enter")
    expect(page.locator("section[aria-label=words] li:not(.ghost)")).not_to_have_count(0)
    assert events[:2] == ["asked", "asked"], "both at once"
    assert has_focus(page)
    page.locator("section[aria-label=words] li > a").first.focus()
    page.keyboard.press("ArrowDown")
    second = "document.querySelectorAll('section[aria-label=words] li > a')[1]"
    assert page.evaluate(f"document.activeElement === {second}")
    for _ in range(8):  # back past the first row of the column
        page.keyboard.press("Shift+Tab")
    tab_to(page, "[aria-label='Without words']", 30)
    page.keyboard.press("Enter")
    expect(page.locator("#columns section")).to_have_count(1)
    assert has_focus(page)
