"""How few round trips the page needs; times on a machine are not asserted (`scripts/bench_page.py` takes them)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from clip_spark.web.app import create_app
from clip_spark.web.guard import Rules
from tests.web.browser import fresh_page, needs_browser
from tests.web.served import served

STATIC = Path(__file__).resolve().parents[2] / "clip_spark" / "web" / "static"
IN_SIGHT = """() => {
  const shown = [...document.querySelectorAll("#results > li:not(.ghost) .frame img")].slice(0, 6);
  return shown.length === 6 && shown.every((one) => one.src.startsWith("data:") && one.naturalWidth);
}"""


def reached(module: str) -> set[str]:
    """The modules that one imports, and those that these import."""
    found, left = set[str](), [module]
    while left:
        names = set(re.findall(r'from "\./(\w+\.js)"', (STATIC / left.pop()).read_text())) - found
        found |= names
        left += names
    return found


def test_every_module_is_asked_for_at_once() -> None:
    page, main = (STATIC / "index.html").read_text(), (STATIC / "main.js").read_text()
    assert set(re.findall(r'modulepreload" href="static/(\w+\.js)"', page)) == reached("main.js")
    named = re.search(r"MAP_PARTS = \[(.+?)\]", main, re.DOTALL)
    assert named and set(re.findall(r"\w+\.js", named[1])) == {
        "map_page.js",
        *reached("map_page.js") - reached("main.js"),
    }


def test_a_map_is_asked_for_with_the_page(client: Any) -> None:
    (served_map,) = client.get("/maps").json()
    links = client.get("/?map=emoji").headers["link"].split(", ")
    addresses = [link[1 : link.index(">")] for link in links]
    assert {link.removeprefix("static/") for link in addresses if link.endswith(".js")} == {
        "map_page.js",
        *reached("map_page.js"),
    }
    tiles = [tile for tile in client.get("/maps/emoji").json()["tiles"] if tile.split("-")[1] == "0"]
    wanted = {"maps/emoji", *(f"maps/emoji/tiles/{tile}?version={served_map['version']}" for tile in tiles)}
    assert {link for link in addresses if link.startswith("maps/")} == wanted and len(tiles) == 2
    assert all(client.get(f"/{link}").status_code == 200 for link in addresses)
    assert all("link" not in client.get(path).headers for path in ("/", "/?map=other", "/?map=%0d%0aX-Own:+1"))
    app = create_app(client.app.state.catalog, Rules(token="0123456789abcdef"))
    locked = TestClient(app, base_url="http://127.0.0.1:8000")
    assert "link" not in locked.get("/?map=emoji").headers, "nobody learns of maps without the token"
    assert "link" in locked.get("/?map=emoji", headers={"Authorization": "Bearer 0123456789abcdef"}).headers


@pytest.fixture(scope="module")
def asked(browser: Any, indices: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Does something with a page, and gives the paths that it asks for until the first pictures are there."""
    with served(indices, tmp_path_factory.mktemp("speed") / "log") as url:
        context = browser.new_context(viewport={"width": 1200, "height": 900})
        page = context.new_page()
        page.set_default_timeout(60_000)
        seen: list[str] = []
        page.on("request", lambda request: seen.append(urlsplit(request.url).path))

        def until_shown(doing: Any) -> list[str]:
            seen.clear()
            doing(page, url)
            page.wait_for_function(IN_SIGHT)
            return [path for path in seen if path.endswith((".js", ".css")) or path.count("/") == 1]

        yield until_shown
        context.close()


@needs_browser
def test_a_visit_asks_for_its_indices_with_its_modules_and_then_for_hits(asked: Any) -> None:
    paths = asked(lambda page, url: page.goto(f"{url}?q=dog&index=images"))
    first = paths[: paths.index("/search")]
    assert len(set(first)) == len(first) and first[0] == "/" and "/indices" in first
    assert all(path.startswith("/static/") for path in set(first) - {"/", "/indices"})


@needs_browser
def test_a_search_and_its_first_pictures_are_one_round_trip(asked: Any) -> None:
    def ask(page: Any, url: str) -> None:
        page.evaluate("document.getElementById('results').replaceChildren()")
        page.fill("#words", "a red flag")
        page.press("#words", "Enter")

    assert asked(ask)[0] == "/search"


@needs_browser
def test_pictures_of_the_last_view_hold_up_no_search(asked: Any) -> None:
    def ask(page: Any, url: str) -> None:
        held: list[Any] = []
        page.route("**/picture/**", lambda route: held.append(route))  # they are on their way for ever
        with page.expect_request("**/picture/**"):
            page.goto(f"{url}?q=house&index=images")
        with page.expect_event("requestfailed", lambda request: "/picture/" in request.url):
            page.fill("#words", "a red flag")
            page.press("#words", "Enter")
        page.unroute("**/picture/**")

    asked(ask)


@needs_browser
def test_what_is_asked_for_ahead_is_asked_for_once(
    browser: Any, indices: dict[str, str], map_uri: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with (
        served(indices, log, "--map", f"emoji={map_uri}", "--log-requests") as url,
        fresh_page(browser, 1200, 800) as page,
    ):
        page.goto(f"{url}?map=emoji")
        page.wait_for_function("() => document.querySelector('.clip-map')?.mapView.drawnPoints > 0")
    paths = re.findall(r'"path": ?"(/maps/[^"]+|/static/[^"]+)"', log.read_text())
    assert "/maps/emoji/tiles/image-0-0-0" in paths and len(set(paths)) == len(paths)
