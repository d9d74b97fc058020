"""A server process is attacked over its socket: it answers what it must, refuses the rest, and goes on for others."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.web.served import start_server, wait_ready

FILES = 256
GUARD = 60.0
"""Seconds after which a test gives up on an answer."""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attacked") / "log"


@pytest.fixture(scope="module")
def server(indices: dict[str, str], log: Path) -> Iterator[tuple[str, int]]:
    process = start_server(indices, log, "--max-upload", "2M", "--log-requests", files=FILES)
    try:
        url = urlsplit(wait_ready(process, log))
        yield str(url.hostname), int(url.port or 0)
        assert process.poll() is None, "it is still there after everything"
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def ask(server: tuple[str, int], method: str, path: str, body: bytes | str | None = None, **headers: str):
    """(status, headers in any case, JSON) of one request."""
    connection = http.client.HTTPConnection(*server, timeout=GUARD)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        return answer.status, answer.headers, json.loads(data) if data.startswith((b"{", b"[")) else data
    finally:
        connection.close()


def knn(**changes) -> str:
    return json.dumps({"modality": "image", "indice_name": "images", "num_images": 1, **changes})


BIG = 1_900_000
HOSTILE = {
    "deep": "[" * BIG,
    "deep objects": '{"a":' * (BIG // 5),
    "wide": '{"text": [' + "[[],[]," * (BIG // 8) + "[]]}",
    "many numbers": '{"embedding_input": [' + "1," * (BIG // 2 - 50) + "1]}",
    "long number": knn(num_images=1).replace("1}", "9" * 400 + "}"),
    "longer number": knn(num_images=1).replace("1}", "9" * 10_000 + "}"),
    "large embedding": '{"modality": "image", "num_images": 1, "embedding_input": ['
    + ",".join(["9" * 400] * 256)
    + "]}",
    "infinite embedding": knn(embedding_input=[float("inf")] * 256),
    "true as embedding": knn(embedding_input=[True] * 256),
    "picture in no base64": knn(image="é"),
    "surrogate": '{"modality": "image", "num_images": 1, "text": "\\ud800"}',
    "surrogate as name": '{"modality": "image", "num_images": 1, "indice_name": "\\udc00"}',
    "surrogate as key": '{"\\ud800": 1}',
    "long text": knn(text="a" * BIG),
    "escapes": '{"text": "' + "\\u0041" * (BIG // 6) + '"}',
    "no bytes of UTF-8": b"\xff\xfe{}",
    "nothing": b"",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bodies_are_refused_in_a_sentence(server: tuple[str, int], body: bytes | str) -> None:
    for path in ("/knn-service", "/metadata"):
        status, _, answer = ask(server, "POST", path, body)
        assert status == 400 and len(answer["message"]) < 300 and answer["code"]
    assert ask(server, "GET", "/health")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/search?q=a&where=" + quote("error((select string_agg(record_id, ',') from records))"),
        "/search?q=a&where=" + quote("false) union all select 7 --"),
        "/search?q=a&where=" + quote("sleep_ms(20000) is null"),
        "/search?q=a&where=" + quote(" and ".join(["1=1"] * 2000)),
        "/search?q=a&where=" + quote("(" * 3000),
        "/search?q=a&threshold=nan",
        "/search?q=a&threshold=inf",
        "/search?q=a&unique=-1",
        "/search?q=a&unique=nan",
        "/search?q=a&k=" + "9" * 400,
        "/search?q=a&offset=" + "9" * 400,
        "/search?q=a&tresholt=0.5",
        "/search?q=" + "a" * 15_000,
        "/sample?threshold=0.5",
        "/sample?where=" + quote("secret = 1"),
        "/picture/a?size=" + "9" * 400,
    ],
)
def test_hostile_parameters_are_refused_in_a_sentence(server: tuple[str, int], path: str) -> None:
    status, headers, answer = ask(server, "GET", path)
    assert status == 400 and 0 < len(answer["message"]) < 900 and answer["code"] == "bad_request"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_one_id_ten_thousand_times_is_read_once(server: tuple[str, int]) -> None:
    status, _, answer = ask(server, "POST", "/metadata", json.dumps({"ids": [3] * 10_000, "indice_name": "images"}))
    assert status == 200 and len(answer) == 10_000 and answer[0] == answer[-1]
    assert base64.b64decode(answer[0]["metadata"]["image"])[:2] == b"\xff\xd8"


def test_an_upload_that_is_cut_off_is_not_answered_as_if_whole(server: tuple[str, int], log: Path) -> None:
    before = len(log.read_text())
    with socket.create_connection(server) as client:
        client.sendall(b"POST /search?k=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nhalf")
    assert logged(log, before, "POST")["status"] == 0


def logged(log: Path, before: int, method: str) -> dict[str, Any]:
    """The line about a search that came after so many characters; others may end late, and lines come after answers."""
    end = time.monotonic() + GUARD
    while time.monotonic() < end:
        lines = [json.loads(line) for line in log.read_text()[before:].split("\n")[:-1] if line.startswith('{"time"')]
        if found := [line for line in lines if (line["method"], line["path"]) == (method, "/search")]:
            return found[-1]
        time.sleep(0.05)
    raise TimeoutError(log.read_text()[before:])


def test_idle_connections_do_not_keep_others_out(server: tuple[str, int], log: Path) -> None:
    before = log.stat().st_size
    idle = []
    try:
        for number in range(FILES + 50):
            idle.append(socket.create_connection(server, timeout=GUARD))
            if number % 2:
                idle[-1].sendall(b"GET /health HTTP/1.1\r\nHost: 127")  # half a head
        for _ in range(5):
            assert ask(server, "GET", "/health")[0] == 200
            assert ask(server, "GET", "/search?q=cat&k=1")[0] == 200
    finally:
        for one in idle:
            one.close()
    assert log.stat().st_size - before < 20_000


CHUNKED = b"POST /knn-service HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nA\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"a" * 200_000,
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        CHUNKED + b"0\r\nA: " + b"a" * 200_000,
        CHUNKED + b"1;" + b"a" * 200_000,
    ],
    ids=["tls", "a word", "half a header", "endless", "long path", "many headers", "endless trailer", "endless chunk"],
)
def test_what_is_no_http_gets_the_same_headers(server: tuple[str, int], text: bytes) -> None:
    answer = b""
    with socket.create_connection(server, timeout=GUARD) as client:
        with suppress(ConnectionError):  # it does not listen to the end
            client.sendall(text)
        with suppress(ConnectionError):
            while part := client.recv(1 << 16):
                answer += part
    assert answer.startswith(b"HTTP/1.1 400") and b"Content-Security-Policy" in answer and b'"code"' in answer


def test_requests_are_logged_as_json_without_what_was_asked(server: tuple[str, int], log: Path) -> None:
    before = len(log.read_text())
    ask(server, "GET", "/search?q=privatewords&k=1")
    line = logged(log, before, "GET")
    assert {"time", "client", "method", "path", "status", "bytes", "seconds"} == set(line)
    assert line["status"] == 200 and "privatewords" not in log.read_text()
