"""How few round trips the page needs; times on a machine are not asserted (`scripts/bench_page.py` takes them)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

from clip_spark.analysis.map.script import joined
from clip_spark.web.app import create_app
from clip_spark.web.guard import Rules
from clip_spark.web.page import map_script, page_script
from tests.web.browser import fresh_page, needs_browser
from tests.web.served import served, settled

STATIC = Path(__file__).resolve().parents[2] / "clip_spark" / "web" / "static"
IN_SIGHT = """() => {
  const shown = [...document.querySelectorAll("#results > li:not(.ghost) .frame img")].slice(0, 6);
  return shown.length === 6 && shown.every((one) => one.src.startsWith("data:") && one.naturalWidth);
}"""


@pytest.mark.parametrize(("text", "entry"), [(page_script(), "main"), (map_script(), "map_page")])
def test_each_module_is_in_one_of_two_scripts(text: str, entry: str) -> None:
    names = re.findall(r"^const (\w+) = \(\(\) => \{$", text, re.MULTILINE)
    assert names[-1] == entry and len(set(names)) == len(names)
    assert all((name.startswith("map_") or name == "map") == (entry == "map_page") for name in names)
    used = {path.stem for path in STATIC.glob("*.js")} - {
        "map_stored",
        "map_widget",
    }  # those are of pages without a server
    assert used == set(joined("main")) | set(joined("map_page"))
    left = [line for line in text.splitlines() if re.match(r"(import|export) ", line)]
    assert len(left) == (2 if entry == "map_page" else 1), "all other lines are joined"


def test_a_script_that_a_browser_has_is_not_sent_again(client: Any) -> None:
    for name in ("whole_page", "whole_map"):
        first = client.get(f"/static/{name}.js")
        again = client.get(f"/static/{name}.js", headers={"If-None-Match": first.headers["etag"]})
        assert first.headers["content-type"].startswith("text/javascript")
        assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


def test_a_map_is_asked_for_with_the_page(client: Any) -> None:
    (served_map,) = client.get("/maps").json()
    links = client.get("/?map=emoji").headers["link"].split(", ")
    addresses = [link[1 : link.index(">")] for link in links]
    assert {link for link in addresses if link.startswith("static/")} == {"static/map.css", "static/whole_map.js"}
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
def test_a_visit_asks_for_its_indices_with_its_modules_and_for_no_more(asked: Any) -> None:
    visits = (asked(lambda page, url: page.goto(settled(f"{url}?q=dog&index=images"))) for _ in range(9))
    first = next(paths for paths in visits if "/search" not in paths)  # on a busy machine an answer may be late
    assert len(set(first)) == len(first) and first[0] == "/" and "/indices" in first
    assert [path for path in first if not path.startswith("/static/")] == ["/", "/indices"]


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
