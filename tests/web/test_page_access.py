"""The page for everybody: no violation that axe finds, a token that is asked for once, a browser that keeps nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.browser import needs_browser
from tests.web.served import served

api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs pip install axe-playwright-python")
pytestmark = needs_browser
TOKEN = "0123456789abcdef"
SHOWN = "#results > li:not(.ghost), #error:not([hidden])"
BLOCKED = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"


@pytest.fixture(scope="module")
def url(indices: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that asks for a token."""
    with served(indices, tmp_path_factory.mktemp("server") / "log", "--token", TOKEN) as found:
        yield found


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


def answer_prompts(page: Any, *tokens: str) -> list[str]:
    """What the page asked for, while these are typed in one after the other."""
    asked, left = list[str](), list(tokens)

    def typed(dialog: Any) -> None:
        asked.append(dialog.message)
        dialog.accept(left.pop(0)) if left else dialog.dismiss()

    page.on("dialog", typed)
    return asked


def test_the_token_is_asked_for_once_and_again_after_a_mistake(page: Any, url: str) -> None:
    asked = answer_prompts(page, "wrong-wrong-wrong", TOKEN)
    page.goto(url)
    page.wait_for_selector(SHOWN)
    assert page.locator("#hero h1").inner_text() == "Search 48 pictures by meaning"
    assert asked == ["This server asks for its token:"] * 2
    page.fill("#words", "cat")
    page.press("#words", "Enter")
    api.expect(page.locator("#results img").first).to_have_js_property("naturalWidth", 64)
    page.reload()
    page.wait_for_selector(SHOWN)
    assert len(asked) == 2  # the cookie knows it


def test_without_the_token_the_page_says_why_it_is_empty(page: Any, url: str) -> None:
    answer_prompts(page)
    page.goto(url)
    page.wait_for_selector("#error:not([hidden])")
    assert "needs its token" in page.locator("#error").inner_text()
    assert page.locator("#results li:not(.ghost)").count() == 0


def test_a_browser_that_stores_nothing_shows_the_page(page: Any, url: str) -> None:
    answer_prompts(page, TOKEN)
    page.add_init_script(BLOCKED)
    page.goto(url)
    page.wait_for_selector(SHOWN)
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") in ("dark", "light")


VIEWS = [
    ("", "light"),
    ("?q=cat", "light"),
    ("?q=cat&also=[[-1,%22text%22,%22dog%22],[2,%22text%22,%22red%22]]&where=width>1", "dark"),
    ("?q=cat&index=words", "dark"),
    ("?like=nothing", "light"),
]
OPENED = {
    "?q=cat": [".card .info >> nth=0"],
    "?q=cat&index=words": [".choice >> nth=1", ".facet summary >> nth=0"],
    "?index=words": [".about"],
}
LONG = [("", "dark"), ("?q=cat&index=words", "light"), ("?like=nothing", "dark")]


@pytest.mark.parametrize(("view", "theme"), [*VIEWS, *(pytest.param(*one, marks=pytest.mark.long) for one in LONG)])
def test_axe_finds_nothing(page: Any, url: str, view: str, theme: str) -> None:
    answer_prompts(page, TOKEN)
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.goto(url + view)
    page.wait_for_selector(SHOWN)
    page.wait_for_timeout(1000)  # half-shown cards have less contrast
    no_violations(page)


@pytest.mark.parametrize("view", OPENED)
def test_axe_finds_nothing_in_what_is_opened(page: Any, url: str, view: str) -> None:
    answer_prompts(page, TOKEN)
    page.emulate_media(reduced_motion="reduce")
    page.goto(url + view)
    page.wait_for_selector(SHOWN)
    for place in OPENED[view]:
        page.click(place, force=True)
    page.wait_for_selector("#details .side, .facet small, #card .cite")
    no_violations(page)
    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    no_violations(page)


def test_edges_are_seen_where_a_person_chooses_the_colours(page: Any, url: str) -> None:
    answer_prompts(page, TOKEN)
    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    page.set_viewport_size({"width": 800, "height": 900})
    page.goto(f"{url}?q=cat")
    page.wait_for_selector(SHOWN)
    page.hover(".card >> nth=1")  # what is shown over its picture can be read too
    no_violations(page)
    page.click(".card .info >> nth=0", force=True)
    page.wait_for_selector("#details .side")
    width = "(place) => getComputedStyle(document.querySelector(place)).borderTopWidth"
    assert [page.evaluate(width, place) for place in (".card", "#details")] == ["1px", "1px"]
    no_violations(page)


def no_violations(page: Any) -> None:
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200], one["nodes"][0].get("failureSummary")) for one in found] == []
