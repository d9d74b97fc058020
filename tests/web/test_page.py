"""The page in a real browser: it asks no other host, finds, goes on from a hit, takes pictures, survives mistakes."""

from __future__ import annotations

import base64
import csv
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from tests.helpers_web import HOSTILE
from tests.web.browser import needs_browser, tab_to
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


def test_details_stand_beside_the_hits_and_arrows_lead_on(page: Any, url: str) -> None:
    open_page(page, f"{url}?q=cat")
    names, heading = titles(page), page.locator("#details h2")
    page.locator(".card .info").first.click(force=True)
    assert page.locator("#details:modal").count() == 0
    page.keyboard.press("ArrowRight")
    expect(heading).to_have_text(names[1])
    page.locator(".card > a").nth(2).focus()  # the keys of the grid take them along
    page.keyboard.press("ArrowRight")
    expect(heading).to_have_text(names[3])
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open], .shown")).to_have_count(0)  # it ends a moment later
    assert page.locator(":focus").get_attribute("aria-label") == f"Details of {names[3]}"
    page.locator(".card .info").first.click(force=True)
    page.set_viewport_size({"width": 800, "height": 900})
    expect(page.locator("dialog[open]")).to_have_count(0)  # no room beside the hits any more
    page.locator(".card .info").first.click(force=True)
    assert page.locator("#details:modal").count() == 1
    page.keyboard.press("ArrowDown")
    expect(heading).to_have_text(names[1])


def test_the_card_says_how_to_cite_an_index(page: Any, url: str, client: Any) -> None:
    open_page(page, f"{url}?index=words")
    tab_to(page, ".about")
    with page.expect_request("**/card?*"):
        page.keyboard.press("Enter")
    expect(page.locator("#card .cite")).to_have_text(client.get("/card?index=words").json()["cite"])
    assert page.locator("#card dd").first.inner_text() == str(client.get("/indices").json()[1]["rows"])
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.matches('.about')")


def test_hits_say_how_sure_they_are_where_that_is_known(page: Any, url: str) -> None:
    def calibrated(route: Any) -> None:
        answer = route.fetch().json()
        for hit, chance in zip(answer["hits"], (0.00025, 0.3), strict=False):
            hit["chance"] = chance
        route.fulfill(json=answer)

    open_page(page, url)
    page.route("**/search?*", calibrated)
    ask(page, "cat")
    sure = page.locator(".card .sure")
    assert sure.all_inner_texts() == ["very likely", "hardly"]
    assert sure.first.get_attribute("title") == "1 of 4,000 unrelated pairs scores as high"
    assert page.locator(".card").nth(2).locator("b").get_attribute("title") == "cosine similarity"
    page.locator(".card .info").nth(1).click(force=True)
    assert page.locator("#details dd").all_inner_texts()[0] == "30 of 100 unrelated pairs score as high"


def test_json_is_all_that_is_seen(page: Any, url: str, client: Any) -> None:
    open_page(page, f"{url}?q=cat&where=width%20%3E%201")
    path = str(page.locator("#options a", has_text="JSON").get_attribute("href"))
    expected = client.get("/search", params={"q": "cat", "where": "width > 1", "k": 100}).json()["hits"]
    assert page.request.get(f"{url}{path}").json()["hits"] == expected and len(expected) == 48
    open_page(page, f'{url}?q=cat&also=[[-1,"text","dog"]]')
    with page.expect_download() as download:
        page.locator("#options button", has_text="JSON").click()
    body = {"queries": [{"terms": [{"text": "cat"}, {"text": "dog", "weight": -1}]}], "k": 100}
    (expected,) = client.post("/query", json=body).json()["answers"]
    found = json.loads(Path(download.value.path()).read_text())
    assert [hit["record"] for hit in found["hits"]] == [hit["record"] for hit in expected["hits"]]


def test_texts_stay_text(page: Any, url: str) -> None:
    open_page(page, url)
    page.locator("#indices a", has_text="words").click()
    page.wait_for_selector("#results.texts .row:not(.ghost)")
    ask(page, HOSTILE)
    assert titles(page)[0] == HOSTILE
    assert page.locator("#results img").count() == 0 and "broken" not in page.title().removeprefix(HOSTILE)


def has_font(sign: str) -> bool:
    """Whether a font of this machine has a sign, as fontconfig says, which a browser asks too."""
    return bool(subprocess.run(["fc-list", f":charset={ord(sign):x}"], capture_output=True, check=True).stdout)


@pytest.mark.skipif(shutil.which("fc-list") is None, reason="needs fontconfig")
def test_signs_that_no_font_has_are_no_boxes(page: Any, url: str) -> None:
    signs = ["\N{HUGGING FACE}", "\N{DEVANAGARI LETTER A}", "\N{BUGINESE LETTER KA}", "\N{RIGHTWARDS ARROW}", "é", "Ж"]

    def renamed(route: Any) -> None:
        answer = route.fetch().json()
        for at, sign in enumerate(signs):
            answer["hits"][at]["title"] = f"a {sign} b"
            answer["hits"][at + len(signs)]["title"] = sign
        route.fulfill(json=answer)

    open_page(page, url)
    page.route("**/search?*", renamed)
    ask(page, "cat")
    there = [has_font(sign) for sign in signs]
    assert all(there[-2:])
    shown = titles(page)[: 2 * len(signs)]
    assert shown == [
        *(f"a {sign} b" if one else "a b" for sign, one in zip(signs, there, strict=True)),
        *(sign if one else f"U+{ord(sign):X}" for sign, one in zip(signs, there, strict=True)),
    ]
    assert page.locator(".card > a").first.get_attribute("title") == f"More like “a {signs[0]} b”"


def test_terms_are_added_and_taken_away(page: Any, url: str, client: Any) -> None:
    open_page(page, f"{url}?q=cat")
    page.fill(".more-words input", "dog")
    page.click(".more-words [aria-label='Take these words away']")
    expect(page.locator(".chip.minus")).to_contain_text("dog")
    answered(page)
    card = page.locator(".card:not(.ghost)").first
    (liked,) = parse_qs(urlparse(str(card.locator("a").get_attribute("href"))).query)["like"]
    card.hover()
    card.locator(".signs button").first.click()
    expect(page.locator(".chip")).to_have_count(2)
    page.locator(".chip").nth(1).locator("a", has_text="+").click()
    expect(page.locator(".chip").nth(1)).to_contain_text("+1.5")
    answered(page)
    terms = [{"text": "cat"}, {"text": "dog", "weight": -1}, {"like": liked, "weight": 1.5}]
    body = {"queries": [{"terms": terms}], "k": 40}
    (expected,) = client.post("/query", json=body).json()["answers"]
    assert titles(page)[:40] == [hit["title"] for hit in expected["hits"]]
    page.go_back()
    expect(page.locator(".chip b").nth(1)).to_have_text("+1")
    page.locator(".chip").nth(1).locator("a", has_text="×").click()
    expect(page.locator(".chip")).to_have_count(1)


def test_hits_are_filtered_by_the_values_of_their_columns(page: Any, url: str, client: Any) -> None:
    open_page(page, f"{url}?q=cat&index=words")
    page.locator(".facet summary", has_text="n").first.click()
    asked = {"q": "cat", "index": "words", "facets": "n"}
    counts = client.get("/search", params=asked).json()["facets"]["n"]["values"]
    value, count = counts[-1]["value"], counts[-1]["count"]
    link = page.locator(".facet a").nth(len(counts) - 1)
    expect(link).to_have_text(f"{value}{count}")
    link.click()
    expect(page.locator("#results > li:not(.ghost)")).to_have_count(count)
    assert page.locator(".condition input").input_value() == f"n = {value}"
    page.fill(".condition input", "nothing = 1")
    page.press(".condition input", "Enter")
    expect(page.locator("#error")).to_contain_text("there is no such column")
    assert page.locator("#results > li:not(.ghost)").count() == count, "what was found stays"


def test_chosen_hits_are_exported(page: Any, url: str, client: Any) -> None:
    open_page(page, f"{url}?q=cat")
    hits = client.get("/search", params={"q": "cat"}).json()["hits"][:2]
    for number in (0, 1):
        page.locator(".choice").nth(number).check(force=True)
    expect(page.locator("#chosen b")).to_have_text("2 hits chosen")

    def saved(button: str) -> bytes:
        with page.expect_download() as download:
            page.locator("#chosen button", has_text=button).click()
        return Path(download.value.path()).read_bytes()

    rows = list(csv.DictReader(io.StringIO(saved("CSV").decode())))
    assert [row["record_id"] for row in rows] == [hit["record"]["record_id"] for hit in hits]
    assert [row["caption"] for row in json.loads(saved("JSON"))] == [hit["record"]["caption"] for hit in hits]
    with tarfile.open(fileobj=io.BytesIO(saved("Pictures"))) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert found == {
        **{f"{hit['record']['record_id']}.png": client.get(f"/{hit['picture']}").content for hit in hits},
        "hits.json": found["hits.json"],
    }


COVERED = """(box) => {
  box.scrollIntoView({block: "nearest"});
  const {x, y, width, height} = box.getBoundingClientRect();
  return document.elementFromPoint(x + width / 2, y + height / 2) !== box;
}"""


@pytest.mark.parametrize("width", [390, pytest.param(1440, marks=pytest.mark.long)])
def test_the_bar_of_chosen_hits_covers_no_box(page: Any, url: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 760})
    open_page(page, f"{url}?q=cat&index=words")
    boxes = page.locator(".choice")
    boxes.nth(boxes.count() - 1).check(force=True)
    expect(page.locator("#chosen")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [at for at, box in enumerate(boxes.all()) if box.evaluate(COVERED)] == []


def test_back_leads_to_the_same_place_and_arrows_lead_through_the_grid(page: Any, url: str) -> None:
    open_page(page, f"{url}?q=cat")
    page.mouse.wheel(0, 9000)
    expect(page.locator("#results > li")).to_have_count(48)
    page.locator(".card > a").nth(45).scroll_into_view_if_needed()
    place = page.evaluate("scrollY")
    page.locator(".card > a").nth(45).click()
    page.wait_for_selector("#query:not([hidden])")
    page.go_back()
    expect(page.locator("#results > li:not(.ghost)")).to_have_count(48)
    assert abs(page.evaluate("scrollY") - place) < 40
    page.locator(".card > a").first.focus()
    across = page.evaluate("getComputedStyle(document.querySelector('#results')).gridTemplateColumns.split(' ').length")
    for key, expected in (("ArrowRight", 1), ("ArrowDown", 1 + across), ("ArrowLeft", across), ("ArrowUp", 0)):
        page.keyboard.press(key)
        focused = "[...document.querySelectorAll('.card > a')].indexOf(document.activeElement)"
        assert page.evaluate(focused) == expected


def test_mistakes_are_said_on_the_page(page: Any, url: str) -> None:
    open_page(page, f"{url}?like=nothing")
    assert page.locator("#error").inner_text() == "There is no record 'nothing' in index 'images'."
    page.evaluate(DROP, base64.b64encode(b"no picture").decode())
    expect(page.locator("#error")).to_contain_text("This is not a usable picture")
