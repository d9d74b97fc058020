"""The guards one by one: turns, bodies, deadlines, origins, tokens, rates."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient

from clip_spark.web import connections, guard
from clip_spark.web.access import Rate
from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog
from clip_spark.web.connections import Connection
from clip_spark.web.guard import Guard, Rules
from clip_spark.web.origins import is_foreign, names_on
from clip_spark.web.server import configured

TOKEN = "0123456789abcdef"


def scope(path: str = "/search", **headers: str) -> dict:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "GET", "path": path, "headers": raw, "client": ("10.0.0.1", 5)}


class Asked:
    """One request to an ASGI app: `status` and `headers` once they were sent."""

    def __init__(self, *messages: dict) -> None:
        self._messages = list(messages or [{"type": "http.request", "body": b""}])
        self.status, self.headers = 0, {}

    async def receive(self) -> dict:
        return self._messages.pop(0) if self._messages else await asyncio.Event().wait()

    async def send(self, message: dict) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])


class Blocking:
    """An app that answers when it is told to, and health at once."""

    def __init__(self) -> None:
        self.go, self.running = asyncio.Event(), 0

    async def __call__(self, scope: dict, receive, send) -> None:
        if scope["path"] != "/health":
            self.running += 1
            await self.go.wait()
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def settled() -> None:
    """Until all tasks have come as far as they can, however long that takes here."""
    for _ in range(100):
        await asyncio.sleep(0)


def test_so_many_run_so_many_wait_the_rest_is_told_to_come_again_and_health_never_waits() -> None:
    async def run() -> None:
        app = Blocking()
        guarded = Guard(app, Rules())
        many = [Asked() for _ in range(guard.AT_ONCE + guard.MOST_WAITING)]
        tasks = [asyncio.create_task(guarded(scope(), one.receive, one.send)) for one in many]
        await settled()
        assert app.running == guard.AT_ONCE
        late, health = Asked(), Asked()
        await guarded(scope(), late.receive, late.send)
        assert late.status == 503 and late.headers[b"retry-after"] == b"1"
        await guarded(scope("/health"), health.receive, health.send)
        assert health.status == 200
        app.go.set()
        await asyncio.gather(*tasks)
        assert {one.status for one in many} == {200}

    asyncio.run(run())


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "WAIT_SECONDS", 0.05)

    async def run() -> None:
        app = Blocking()
        guarded = Guard(app, Rules())
        first = [Asked() for _ in range(guard.AT_ONCE)]
        tasks = [asyncio.create_task(guarded(scope(), one.receive, one.send)) for one in first]
        await settled()
        late = Asked()
        await guarded(scope(), late.receive, late.send)
        assert late.status == 503
        app.go.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_a_body_that_is_cut_off_reaches_no_route() -> None:
    async def run() -> None:
        app, cut = (
            Blocking(),
            Asked({"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}),
        )
        await Guard(app, Rules())(scope(), cut.receive, cut.send)
        assert app.running == 0 and cut.status == 0

    asyncio.run(run())


def test_bodies_in_memory_are_limited_together() -> None:
    async def run() -> None:
        app, part = Blocking(), {"type": "http.request", "body": b"x" * 100, "more_body": True}
        guarded = Guard(app, Rules(most_bytes=100))
        slow = [Asked(part) for _ in range(guard.HELD_BODIES)]
        tasks = [asyncio.create_task(guarded(scope(), one.receive, one.send)) for one in slow]
        await settled()
        late = Asked(part)
        await guarded(scope(), late.receive, late.send)
        assert late.status == 503
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        app.go.set()
        free = Asked({**part, "more_body": False})
        await guarded(scope(), free.receive, free.send)
        assert free.status == 200

    asyncio.run(run())


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT",
    ],
    ids=["nothing", "half a head", "half a body", "idle after an answer", "an empty line", "half a second head"],
)
def test_connections_do_not_stay_open_for_ever(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "KEEP_ALIVE_SECONDS"):
        monkeypatch.setattr(connections, name, 0.1)

    async def run() -> None:
        config = uvicorn.Config(
            Guard(Answering(), Rules()), http=Connection, ws="none", lifespan="off", log_level="critical"
        )
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = asyncio.create_task(server.serve([listener]))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(sent)
            with suppress(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 30)  # ends when the server closes
            writer.close()
            server.should_exit = True
            await serving

    asyncio.run(run())


class Answering:
    async def __call__(self, scope: dict, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("headers", "path", "foreign"),
    [
        ({}, "/search", False),
        ({"sec_fetch_site": "same-origin"}, "/search", False),
        ({"sec_fetch_site": "none"}, "/search", False),
        ({"sec_fetch_site": "cross-site"}, "/search", True),
        ({"sec_fetch_site": "same-site"}, "/search", True),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"}, "/", True),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}, "/", False),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}, "/search", True),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}, "/", True),
        ({"origin": "http://evil.example", "host": "127.0.0.1:8000"}, "/search", True),
        ({"origin": "null", "host": "127.0.0.1:8000"}, "/search", True),
        ({"origin": "http://127.0.0.1:9000", "host": "127.0.0.1:8000"}, "/search", True),
        ({"origin": "http://127.0.0.1:8000", "host": "127.0.0.1:8000"}, "/search", False),
        ({"origin": "https://search.example", "host": "inner:8000", "sec_fetch_site": "same-origin"}, "/search", False),
        ({"origin": "http://front.example", "sec_fetch_site": "cross-site"}, "/search", False),
    ],
)
def test_pages_of_other_sites_are_told_apart(headers: dict, path: str, foreign: bool) -> None:
    raw = dict(scope(path, **headers)["headers"])
    assert is_foreign("GET", path, raw, ["http://front.example"]) is foreign
    assert not is_foreign("GET", path, raw, ["*"])


def test_all_of_loopback_is_guarded_against_rebinding(catalog: Catalog) -> None:
    assert set(names_on("127.0.0.2")) == {"127.0.0.2", "127.0.0.1", "localhost", "::1"}
    assert names_on("0.0.0.0") == names_on("search.example") == ()
    client = TestClient(create_app(catalog, Rules(names_on("127.0.0.2"))), base_url="http://127.0.0.2:8000")
    assert client.get("/health").status_code == 200
    assert client.get("/health", headers={"host": "evil.example"}).status_code == 400


@pytest.fixture(scope="module")
def closed(catalog: Catalog) -> Iterator[TestClient]:
    with TestClient(create_app(catalog, Rules(token=TOKEN))) as client:
        yield client


def test_a_token_is_needed_for_everything_but_the_page_and_health(closed: TestClient) -> None:
    for path in ("/search?q=a", "/sample", "/indices", "/picture/a", "/metrics", "/openapi.json", "/ready", "/nowhere"):
        answer = closed.get(path)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["code"] == "token"
        assert closed.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
        assert closed.get(path, headers={"authorization": f"Bearer {TOKEN}"}).status_code != 401
    for path in ("/", "/health", "/static/main.js"):
        assert closed.get(path).status_code == 200


def test_the_page_logs_in_once_with_a_cookie(catalog: Catalog) -> None:
    with TestClient(create_app(catalog, Rules(token=TOKEN))) as client:
        assert client.post("/token", content="wrong").status_code == 401
        answer = client.post("/token", content=TOKEN)
        assert answer.status_code == 204
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and "secure" not in cookie
        assert client.get("/indices").status_code == 200


@pytest.mark.parametrize(
    ("proxies", "believed"), [((), False), (("10.0.0.5",), True), (("10.0.0.0/24",), True), (("10.0.1.5",), False)]
)
def test_only_named_proxies_say_who_asks(catalog: Catalog, proxies: tuple[str, ...], believed: bool) -> None:
    client = TestClient(as_run(catalog, Rules(rate=0.01), proxies), client=("10.0.0.5", 9))
    found = [client.get("/", headers={"x-forwarded-for": f"198.51.100.{n}"}).status_code for n in range(101)]
    assert found[-1] == (200 if believed else 429)  # else a client could be a new one with every request
    behind = TestClient(as_run(catalog, Rules(token=TOKEN), proxies), client=("10.0.0.5", 9))
    answer = behind.post("/token", content=TOKEN, headers={"x-forwarded-proto": "https"})
    assert ("secure" in answer.headers["set-cookie"].lower()) == believed


def as_run(catalog: Catalog, rules: Rules, proxies: tuple[str, ...]) -> Any:
    """The app as uvicorn runs it."""
    config = configured(create_app(catalog, rules), proxies)
    config.load()
    return config.loaded_app


def test_a_rate_lets_bursts_through_and_then_so_many_a_second() -> None:
    rate = Rate(2)
    assert [rate.wait("10.0.0.1", now=0) for _ in range(100)] == [0] * 100
    assert rate.wait("10.0.0.1", now=0) == 0.5
    assert rate.wait("10.0.0.2", now=0) == 0
    assert [rate.wait("10.0.0.1", now=1) > 0 for _ in range(3)] == [False, False, True]
    assert rate.wait("2001:db8::1", now=0) == 0
    assert all(rate.wait(f"2001:db8::{n}", now=0) == 0 for n in range(99))
    assert rate.wait("2001:db8::ffff", now=0) > 0  # one customer has the whole /64


def test_too_many_requests_are_told_when_to_come_again(catalog: Catalog) -> None:
    with TestClient(create_app(catalog, Rules(rate=0.01))) as client:
        found = [client.get("/indices-list") for _ in range(101)]
        assert [answer.status_code for answer in found] == [200] * 100 + [429]
        assert found[-1].json()["code"] == "rate" and 0 < int(found[-1].headers["retry-after"]) <= 100
        assert client.get("/health").status_code == 200


@pytest.mark.parametrize("path", ["/", "/search?q=a", "/search", "/nowhere", "/static/none", "/picture/a", "/metrics"])
def test_every_answer_keeps_itself_to_this_server(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "content-security-policy" in headers and headers["x-content-type-options"] == "nosniff"


def test_an_unforeseen_error_is_a_sentence_with_headers_and_no_detail(catalog: Catalog) -> None:
    app = create_app(catalog)
    app.add_api_route("/fails", lambda: 1 / 0)
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/fails")
    assert answer.status_code == 500 and answer.json()["code"] == "internal" and "zero" not in answer.text
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
