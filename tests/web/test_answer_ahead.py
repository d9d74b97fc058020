"""A page brings the first answer along: the same as its route gives, in time or not at all, and to nobody else."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from clip_spark.web import ahead
from clip_spark.web.app import create_app
from clip_spark.web.guard import Rules
from clip_spark.web.served import ServedIndex
from tests.web.browser import fresh_page, needs_browser
from tests.web.served import served, settled

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BLOCK = re.compile(r'<script type="application/json" id="ahead">(.*?)</script>', re.DOTALL)
TOKEN = "0123456789abcdef"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not what these tests are about."""
    monkeypatch.setattr(ahead, "SECONDS", 60.0)


def came_along(client: Any, view: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> Any:
    """What the page of a view brings along, None for nothing; the page itself is always there."""
    answer = client.get("/", params=view or {}, headers=HTML if headers is None else headers)
    assert answer.status_code == 200 and "<main>" in answer.text
    found = BLOCK.search(answer.text)
    return json.loads(found[1]) if found else None


@pytest.mark.parametrize(
    "view",
    [
        {},
        {"index": "words"},
        {"q": "a cat"},
        {"q": "a cat", "index": "words", "unique": "0.95"},
        {"q": "</script><script>alert('no & never')</script>\u2028"},
        {"q": "cat", "where": "width > 1", "index": "images"},
        {"like": "RECORD", "index": "words", "of": "images"},
    ],
)
def test_a_page_brings_what_its_route_answers(client: Any, view: dict[str, str]) -> None:
    first = client.get("/sample?k=1").json()["records"][0]["record"]["record_id"]
    view = {name: value.replace("RECORD", first) for name, value in view.items()}
    found = came_along(client, view)
    there = client.get("/" + found["path"], params=found["given"]).json()
    assert found["path"] == ("search" if view.keys() & {"q", "like"} else "sample")
    assert view.items() <= found["given"].items() or not view
    for answer in (there, found["answer"]):
        answer.pop("seconds", None)
    assert found["answer"] == there and (there.get("hits") or there.get("records"))


def test_what_is_wrong_is_left_to_the_page(client: Any) -> None:
    for view in (
        {"q": "cat", "like": "0"},
        {"like": "0"},
        {"q": "cat", "index": "none"},
        {"q": "cat", "where": "nonsense = 1"},
        {"q": "cat", "unique": "much"},
        {"q": "x" * 10_001},
    ):
        assert came_along(client, view) is None


def test_only_visits_of_hits_are_answered_ahead(client: Any) -> None:
    assert came_along(client, {"q": "cat"}, headers={"Accept": "*/*"}) is None
    assert came_along(client, {"map": "emoji", "q": "cat"}) is None
    assert came_along(client, {"q": "cat", "also": '[[1,"text","dog"]]'}) is None


def test_without_the_token_nothing_comes_along(client: Any) -> None:
    locked = TestClient(create_app(client.app.state.catalog, Rules(token=TOKEN)), base_url="http://127.0.0.1:8000")
    for view in ({}, {"q": "cat"}):
        assert came_along(locked, view) is None
        assert came_along(locked, view, {**HTML, "Cookie": "clip-spark-token=wrong"}) is None
        assert came_along(locked, view, {**HTML, "Cookie": f"clip-spark-token={TOKEN}"})
    shown = locked.get("/", headers={**HTML, "Authorization": f"Bearer {TOKEN}"}).headers["cache-control"]
    assert "private" in shown, "no proxy keeps for others what a token has opened"


def test_answers_that_come_along_are_counted(client: Any) -> None:
    def count() -> int:
        return client.app.state.catalog.timings.averages()["full_knn_request_time"][0]

    before = count()
    came_along(client, {"q": "counted"})
    assert count() == before + 1


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, list[str]]]:
    """Searches stand still until the event; the texts of those that began."""
    free, begun = threading.Event(), list[str]()
    own = ServedIndex.embed_text

    def slow(self: ServedIndex, text: str) -> Any:
        begun.append(text)
        free.wait(60)
        return own(self, text)

    monkeypatch.setattr(ServedIndex, "embed_text", slow)
    monkeypatch.setattr(ahead, "SECONDS", 0.05)
    yield free, begun
    free.set()


def test_a_page_waits_for_no_slow_search_and_few_go_on(client: Any, held: tuple[threading.Event, list[str]]) -> None:
    free, begun = held
    for number in range(ahead.MOST_LEFT + 3):
        assert came_along(client, {"q": f"slow {number}"}) is None
    assert begun == [f"slow {number}" for number in range(ahead.MOST_LEFT)]
    free.set()
    for _ in range(600):
        if not ahead._left:
            break
        client.get("/health")  # the loop turns
    assert came_along(client, {}) is not None


@needs_browser
def test_the_page_asks_for_no_answer_that_it_has(browser: Any, indices: dict[str, str], tmp_path: Any) -> None:
    with served(indices, tmp_path / "log") as url, fresh_page(browser, 1200, 800) as page:
        seen: list[str] = []
        page.on("request", lambda request: seen.append(request.url))

        def asked(doing: Any) -> list[str]:
            seen.clear()
            doing()
            page.wait_for_selector("#results > li:not(.ghost)")
            page.wait_for_selector("#results:not([aria-busy])")
            return [one for one in seen if "/search?" in one or "/sample?" in one]

        def enter() -> None:
            page.fill("#words", "dog")
            page.press("#words", "Enter")
            page.wait_for_function("document.title.startsWith('dog')")

        for view in ("", "?q=dog+%26+%3Cb%3E&index=images", "?q=dog&unique=0.95"):
            tries = (asked(lambda view=view: page.goto(settled(url + view))) for _ in range(9))
            assert [] in tries, "on a busy machine an answer may be late, but not each time"
            assert page.locator("#results > li").count() == (24 if not view else 40)
        assert len(asked(enter)) == 1, "what came along is true once"
        page.goto("about:blank")
        assert len(asked(lambda: page.go_back())) == 1, "Back shows what is true now"
