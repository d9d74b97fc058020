"""Pictures at web addresses: off unless asked for, public hosts alone, whatever names and redirects say."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fastapi.testclient import TestClient

from clip_spark.errors import UserError
from clip_spark.web import fetch as module
from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog
from clip_spark.web.fetch import fetch, is_public

PICTURE: dict[str, bytes] = {}


class Site(BaseHTTPRequestHandler):
    """Pictures, redirects, endless bytes."""

    def do_GET(self) -> None:
        PICTURE["host"] = self.headers["Host"].encode()
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            while not self.server.closing.wait(0.05):  # type: ignore[attr-defined]
                self.wfile.write(b"x")
        elif self.path == "/long":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * 100_000)
        else:
            found = PICTURE.get(self.path)
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(found or b"")

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A site that counts as public: its name leads to loopback, and that address alone is let through."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.closing = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    resolve = socket.getaddrinfo

    def resolved(host: str, *others: Any, **named: Any) -> Any:
        names = {"pictures.example": "127.0.0.1", "inside.example": "127.0.0.9"}
        return resolve(names.get(host, host), *others, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    monkeypatch.setattr(module, "PORTS", {"http": server.server_port, "https": 443})
    public = module.is_public
    monkeypatch.setattr(module, "is_public", lambda address: address == "127.0.0.1" or public(address))
    yield "http://pictures.example"
    server.closing.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"),
        *("224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1%eth0"),
        *("fd00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1"),
        *("2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "::127.0.0.1"),
    ],
)
def test_addresses_inside_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("file:///etc/passwd", "ftp://pictures.example/a", "//pictures.example/a", "http://", "gopher://a/"),
        *("http://user@pictures.example/", "http://pictures.example:22/", "http://[::1", "http://a\r\nHost: b/"),
        *("http://127.1/", "http://0x7f000001/", "http://2130706433/", "http://localhost/", "http://[::1]/"),
        "http://pictures.example/" + "a" * 3000,
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(UserError):
        fetch(address, 1000)


def test_a_picture_comes_whole_and_under_its_hosts_name(site: str) -> None:
    PICTURE["/a.png"] = b"picture"
    assert fetch(f"{site}/a.png", 1000) == b"picture"
    assert PICTURE["host"].startswith(b"pictures.example")
    assert fetch(f"{site}/to//a.png", 1000) == b"picture"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/none", "status 404"),
        ("/long", "too large"),
        ("/slow", "takes too long"),
        ("/to/http://inside.example/a.png", "public host"),
        ("/to/http://169.254.169.254/latest", "public host"),
        ("/to/file:///etc/passwd", "http and https"),
        ("/to//to//to//to//to//to//a.png", "on and on"),
    ],
)
def test_what_leads_astray_is_not_followed(site: str, path: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.5)
    with pytest.raises(UserError, match=why):
        fetch(site + path, 50_000)


def test_the_checked_address_is_the_one_that_is_opened(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PICTURE["/a.png"] = b"picture"
    resolve, asked = socket.getaddrinfo, []

    def rebinding(host: str, *others: Any, **named: Any) -> Any:
        asked.append(host)
        return resolve("inside.example" if len(asked) > 1 else host, *others, **named)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert fetch(f"{site}/a.png", 1000) == b"picture" and asked == ["pictures.example"]


def test_an_address_is_a_query_and_records_have_pictures_through_the_server(
    catalog: Catalog, client: TestClient, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hit = client.get("/search?q=a+cat&k=1").json()["hits"][0]
    PICTURE["/cat.png"] = client.get(f"/{hit['picture']}").content
    searchers = {name: index.searcher for name, index in catalog.indices.items()}
    opening = TestClient(create_app(Catalog(searchers, fetches=True)))
    body = {"queries": [{"image_url": f"{site}/cat.png"}], "k": 1}
    found = opening.post("/query", json=body).json()["answers"][0]["hits"][0]
    assert found["record"]["record_id"] == hit["record"]["record_id"]
    served = opening.app.state.catalog.get("images")  # type: ignore[attr-defined]
    record = {**hit["record"], "uri": f"{site}/cat.png", "offset": None}
    monkeypatch.setattr(served, "record", lambda record_id: record)
    for size in (256, 0):
        answer = opening.get(f"/picture/{hit['record']['record_id']}?size={size}")
        assert answer.status_code == 200 and answer.content[:4] in (b"\x89PNG", b"RIFF")
    PICTURE["/cat.png"] = b"<svg onload=alert(1)>"
    assert opening.get(f"/picture/{hit['record']['record_id']}?size=512").status_code == 400
