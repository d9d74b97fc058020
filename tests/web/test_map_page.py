"""The map in a real browser: draws all points, lands, selects, comes back; in the page, in a file, in a notebook."""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from clip_spark.analysis.map.html_page import write_page
from clip_spark.analysis.map.script import script, static_file
from clip_spark.analysis.map.stored import stored_map
from clip_spark.datasets.manifest import read_manifest
from tests.web.browser import fresh_page, needs_browser
from tests.web.served import served

api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs pip install axe-playwright-python")
expect = api.expect
pytestmark = needs_browser
VIEW = "document.querySelector('.clip-map').mapView"
DRAWN = f"document.querySelector('.clip-map') && {VIEW}.drawnPoints > 0 && {VIEW}.tiles.whole"
BOXES = "[...document.querySelectorAll('.map-names span')].map((one) => one.getBoundingClientRect().toJSON())"
"""Of all names in one look: they may be laid out anew at any time."""
STILL = f"!{VIEW}.moving && !{VIEW}.due && {VIEW}.tiles.whole"


@pytest.fixture(scope="module")
def url(indices: dict[str, str], map_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log"
    with served(indices, log, "--map", f"emoji={map_uri}") as found:
        yield found


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    with fresh_page(browser, 1200, 800) as page:
        yield page


def until(page: Any, condition: str) -> None:
    """Wait for an expression; a function, for the page's policy lets no text become code."""
    page.wait_for_function(f"() => {condition}")


def open_map(page: Any, url: str, more: str = "") -> None:
    page.goto(f"{url}?map=emoji{more}")
    until(page, DRAWN)
    until(page, STILL)


def whole(page: Any) -> int:
    return page.evaluate(f"Object.values({VIEW}.map.tiles).reduce((a, b) => a + b)")


def boxes_overlap(boxes: list[dict[str, float]]) -> bool:
    return any(
        one["x"] < other["x"] + other["width"]
        and other["x"] < one["x"] + one["width"]
        and one["y"] < other["y"] + other["height"]
        and other["y"] < one["y"] + one["height"]
        for at, one in enumerate(boxes)
        for other in boxes[:at]
    )


@pytest.mark.parametrize(("theme", "width"), [("light", 1200), ("dark", 390)])
def test_a_map_shows_all_and_its_names_and_axe_finds_nothing(page: Any, url: str, theme: str, width: int) -> None:
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(url)
    page.locator("#indices a", has_text="Map").click()
    until(page, DRAWN)
    until(page, STILL)
    assert page.evaluate(f"{VIEW}.drawnPoints") == whole(page)
    boxes = page.evaluate(BOXES)
    assert boxes and not boxes_overlap(boxes)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200], one["nodes"][0].get("failureSummary")) for one in found] == []


def test_a_name_is_not_said_again_inside_of_its_region(page: Any, url: str) -> None:
    open_map(page, url)
    until(page, STILL)
    page.evaluate(f"""() => {{
      const {{ names, camera }} = {VIEW}, away = 120 / camera.scale;
      const at = (right, up) => ({{ x: camera.x + right * away, y: camera.y + up * away }});
      const fine = [["cat", at(1, 0)], ["dog", at(-1, 1)], ["dog", at(-1, -1)]];
      const coarse = [{{ name: "cat", level: 0, ...at(0, 0) }}];
      names.regions = [coarse, fine.map(([name, place]) => ({{ name, level: 1, ...place }}))];
      camera.home = camera.scale / 2;
      names.lay(camera, []);
    }}""")
    assert sorted(page.locator(".map-names span").all_inner_texts()) == ["cat", "dog", "dog"]


def test_a_landing_can_be_read_where_a_person_chooses_the_colours(page: Any, url: str) -> None:
    page.emulate_media(forced_colors="active", color_scheme="dark")
    open_map(page, url)
    page.fill("#words", "cat")
    page.press("#words", "Enter")
    expect(page.locator(".landed b")).to_have_text("cat")
    style = page.evaluate("getComputedStyle(document.querySelector('.landed b')).color")
    ground = page.evaluate("getComputedStyle(document.querySelector('.landed b')).backgroundColor")
    assert (style, ground) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)")


def test_a_search_lands_with_its_hits_and_back_is_where_one_was(page: Any, url: str) -> None:
    open_map(page, url)
    for words, marks in (("cat", ["cat"]), ("red flag", ["cat", "red flag"])):
        page.fill("#words", words)
        page.press("#words", "Enter")
        expect(page.locator(".landed b")).to_have_text(marks)
        expect(page.locator(".map-list h3")).to_have_text(f"Hits for “{words}”")
        until(page, STILL)
        until(page, "location.search.includes('at=')")
    assert page.evaluate(f"{VIEW}.lit.length") == 30
    landed = page.evaluate(f"{VIEW}.trail.landed.at(-1)")
    left, top = page.evaluate(f"{VIEW}.camera.toScreen({landed['x']}, {landed['y']})")
    assert 0 < left < 1200 and 0 < top < 800
    page.focus(".map-stage")
    page.keyboard.press("ArrowLeft")
    until(page, STILL)
    page.wait_for_timeout(400)
    at = parse_qs(urlsplit(page.url).query)["at"]
    page.locator(".map-items button").first.focus()
    page.evaluate("history.pushState({}, '', '?q=dog'); dispatchEvent(new PopStateEvent('popstate'))")
    page.wait_for_selector("#results .card:not(.ghost)")
    assert page.locator("#map").is_hidden()
    page.go_back()
    expect(page.locator("#map")).to_be_visible()
    expect(page.locator(".map-list h3")).to_have_text("Hits for “red flag”")
    assert page.evaluate(f"{VIEW}.camera.toText()") == at[0]
    page.reload()
    until(page, DRAWN)
    expect(page.locator(".map-list h3")).to_have_text("Hits for “red flag”")
    assert page.evaluate(f"{VIEW}.camera.toText()") == at[0]


def test_the_keyboard_moves_opens_and_lists(page: Any, url: str, client: Any) -> None:
    open_map(page, url)
    page.focus(".map-stage")
    before = page.evaluate(f"{VIEW}.camera.scale")
    for key in ("+", "+", "ArrowRight"):
        page.keyboard.press(key)
        until(page, STILL)
    assert page.evaluate(f"{VIEW}.camera.scale") > 2 * before
    until(page, f"{VIEW}.sprites.ready().length > 0")  # pictures as one zooms in
    page.keyboard.press("0")
    until(page, STILL)
    x, y = page.evaluate(f"{VIEW}.tiles.place([...{VIEW}.tiles.here.values()][0], 3)")
    page.evaluate(f"{VIEW}.hand.fly({{x: {x}, y: {y}, scale: {VIEW}.camera.scale}})")
    until(page, STILL)
    page.keyboard.press("Enter")
    card = page.locator(".map-card.open")
    expect(card).to_be_visible()
    assert card.locator("strong").inner_text() and "like=" in (card.locator("a").first.get_attribute("href") or "")
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    page.keyboard.press("l")
    expect(page.locator(".map-list h3")).to_have_text(f"{page.evaluate(SEEN)} points in view")


SEEN = f"""(() => {{
  const view = {VIEW}, [x0, y0, x1, y1] = view.camera.seen();
  return [...view.tiles.here.values()].reduce((sum, tile) => sum + Array.from({{ length: tile.count }},
    (_, at) => view.tiles.place(tile, at)).filter(([x, y]) => x > x0 && x < x1 && y > y0 && y < y1).length, 0);
}})()"""


def test_a_lasso_lists_and_saves_what_lies_inside(page: Any, url: str, tmp_path: Path) -> None:
    open_map(page, url)
    box = page.locator(".map-stage").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.locator("[aria-label='Select with a lasso']").click()
    page.mouse.move(middle[0] - 150, middle[1] - 150)
    page.mouse.down()
    for right, down in ((150, -150), (150, 150), (-150, 150), (-150, -140)):
        page.mouse.move(middle[0] + right, middle[1] + down, steps=6)
    page.mouse.up()
    heading = page.locator(".map-list h3")
    expect(heading).to_contain_text("inside")
    count = int(heading.inner_text().split()[0])
    assert 0 < count < whole(page)
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save as CSV").click()
    saving.value.save_as(tmp_path / "saved.csv")
    with (tmp_path / "saved.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == count and {row["kind"] for row in rows} <= {"image", "text"}
    page.locator(".map-ways button", has_text="Tags from words").click()
    expect(page.locator(".tagged li")).to_have_count(sum(row["kind"] == "image" for row in rows))


def test_colours_are_of_a_column_and_kinds_can_be_left_out(page: Any, url: str) -> None:
    open_map(page, url)
    page.select_option(".map-colour select", "group")
    expect(page.locator(".map-legend li").last).to_contain_text("no value")
    until(page, "location.search.includes('colour=group')")
    assert (
        page.evaluate(
            f"new Set({VIEW}.colouring.code([...{VIEW}.tiles.here.values()].find((t) => t.kind == 'image'))).size"
        )
        > 0
    )
    page.select_option(".map-colour select", "kind")
    page.get_by_role("checkbox", name="Texts").uncheck()
    until(page, f"{VIEW}.drawnPoints === {VIEW}.map.rows.image")


SCORED = f"""(() => {{
  const view = {VIEW}, tile = [...view.tiles.here.values()].find((one) => one.kind === "image");
  const codes = view.colouring.code(tile);
  return Array.from(tile.rows, (row, at) => [`${{tile.name}}.${{row}}`, view.scores.value(tile, at), codes[at]]);
}})()"""


def test_all_points_take_the_colour_of_their_score_by_keyboard_alone(page: Any, url: str, client: Any) -> None:
    open_map(page, url)
    page.focus(".map-colour select")
    page.keyboard.type("score of")
    expect(page.locator(".map-note")).to_contain_text("Search for something")
    page.keyboard.press("/")
    page.keyboard.type("cat")
    page.keyboard.press("Enter")
    expect(page.locator(".map-scale span")).to_have_text(["Texts", "Pictures"])
    found = page.evaluate(SCORED)
    records = client.get("/maps/emoji/points", params={"points": ",".join(name for name, _, _ in found)}).json()
    hits = client.get("/search", params={"q": "cat", "k": 100, "index": "images"}).json()["hits"]
    expected = {hit["record"]["record_id"]: hit["score"] for hit in hits}
    scores = [score for _, score, _ in found]
    assert scores == pytest.approx([expected[one["record"]["record_id"]] for one in records], abs=1e-5)
    codes = [code for _, _, code in sorted(found, key=lambda one: one[1])]
    assert codes == sorted(codes) and codes[0] == 1 and codes[-1] == 24
    until(page, "location.search.includes('colour=%7Escore')")
    page.reload()
    expect(page.locator(".map-scale")).to_have_count(2)
    assert sorted(page.evaluate(SCORED)) == sorted(found)
    picture = client.get(f"/{hits[0]['picture']}").content
    page.set_input_files("#file", {"name": "mine.png", "mimeType": "image/png", "buffer": picture})
    until(page, f"{SCORED}.some(([, score]) => score > 0.999)")
    page.evaluate("history.pushState({}, '', '?map=emoji&colour=~score'); dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.locator(".map-scale")).to_have_count(0)
    assert {score for _, score, _ in page.evaluate(SCORED)} == {None}


def test_a_file_opens_from_a_disk_with_all_of_the_map(page: Any, map_uri: str, tmp_path: Path) -> None:
    manifest = read_manifest(map_uri)
    write_page(manifest, str(tmp_path / "map.html"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "map.html").as_uri())
    until(page, DRAWN)
    assert page.evaluate(f"{VIEW}.drawnPoints") == sum(manifest.extra["rows"].values())
    page.focus(".map-stage")
    page.keyboard.press("l")
    expect(page.locator(".map-items button")).not_to_have_count(0)
    until(page, f"{VIEW}.tiles.whole")
    found = page.evaluate(f"{VIEW}.source.points(['image-0-0-0.0'])")
    assert found[0]["title"] and found[0]["picture"].startswith("data:image/png")
    assert all(one.startswith(("file:", "data:", "blob:")) for one in asked)


def test_a_notebook_shows_the_map_and_its_kernel_places_texts(page: Any, map_uri: str) -> None:
    data = base64.b64encode(stored_map(read_manifest(map_uri))).decode()
    page.set_content(f"<style>{static_file('map.css')}</style><div id=cell></div>")
    page.evaluate(MODEL, data)
    page.add_script_tag(
        content=f"{script('map_widget')}\nmap_widget.render({{ model, el: document.getElementById('cell') }});"
    )
    until(page, DRAWN)
    page.fill(".map-find input", "cat")
    page.press(".map-find input", "Enter")
    expect(page.locator(".landed b")).to_have_text("cat")
    assert page.evaluate("model.sent[0].text") == "cat"
    expect(page.locator(".map-status")).to_have_text("The nearest 1 are lit.")
    expect(page.locator(".map-items button")).to_have_text("a cat0.500")
    page.focus(".map-stage")
    page.keyboard.press("l")
    until(page, "model.values.selected?.length > 0")


MODEL = """(text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)), heard = [];
  const hit = { record_id: "1", score: 0.5, x: 0, y: 0 };
  const landing = { x: 0, y: 0, hits: [hit], best: [{ title: "a cat", score: 0.5, record: hit }], kind: "image" };
  window.model = {
    values: { data: new DataView(bytes.buffer), height: 500 }, sent: [],
    get(name) { return this.values[name]; },
    set(name, value) { this.values[name] = value; },
    save_changes() {},
    on(_, call) { heard.push(call); },
    off() {},
    send(message) {
      this.sent.push(message);
      setTimeout(() => heard.forEach((call) => call({ id: message.id, ...landing })));
    },
  };
}"""
