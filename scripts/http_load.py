"""A small HTTP client, and a load of several of them, for bench_serve.py and serve_load.py."""

from __future__ import annotations

import json
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np

Request = tuple[str, str, bytes]
"""Method, path, body."""


class Client:
    """One connection at a time, kept open as long as the server keeps it."""

    def __init__(self, url: str, seconds: float = 60.0) -> None:
        found = urlsplit(url)
        self._place, self._seconds = (str(found.hostname), int(found.port or 80)), seconds
        self._host = f"{found.hostname}:{found.port}"
        self._socket: socket.socket | None = None

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body; raises OSError where the connection breaks before the answer is whole."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n"
        fresh = self._socket is None
        try:
            return self._exchange(head.encode() + body, method != "HEAD")
        except ConnectionError:
            self.close()
            if fresh:
                raise
            return self._exchange(head.encode() + body, method != "HEAD")  # the server had closed an idle connection

    def _exchange(self, data: bytes, with_body: bool) -> tuple[int, bytes]:
        if self._socket is None:
            self._socket = socket.create_connection(self._place, self._seconds)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(data)
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._more()
        head, _, body = got.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        parts, missing = [body], (int(headers.get("content-length", 0)) if with_body else 0) - len(body)
        while missing > 0:
            parts.append(self._more())
            missing -= len(parts[-1])
        if lines[0].startswith("http/1.0") or headers.get("connection") == "close":
            self.close()
        return int(lines[0].split()[1]), b"".join(parts)

    def _more(self) -> bytes:
        assert self._socket is not None
        if not (part := self._socket.recv(1 << 18)):
            raise ConnectionResetError("the server closed the connection")
        return part

    def close(self) -> None:
        """Let go of the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@dataclass
class Outcome:
    """What a load has seen: milliseconds of each request, and how many had each status (0: no answer)."""

    seconds: float = 0.0
    ms: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, status: int, ms: float) -> None:
        """Count one request."""
        self.ms.append(ms)
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def figures(self) -> dict[str, Any]:
        """Requests a second, quantiles of their milliseconds, statuses, and the first wrong answers."""
        p50, p99, worst = np.percentile(self.ms or [0.0], (50, 99, 100)).round(2).tolist()
        figures = {
            "qps": round(len(self.ms) / max(self.seconds, 1e-9), 1),
            "p50_ms": p50,
            "p99_ms": p99,
            "worst_ms": worst,
        }
        return {**figures, "requests": len(self.ms), "statuses": self.statuses, "wrong": self.wrong[:5]}


def run_load(
    url: str,
    clients: int,
    seconds: float,
    requests: Callable[[int], Iterator[Request]],
    check: Callable[[Request, int, bytes], str] = lambda *_: "",
) -> Outcome:
    """So many clients, each asking again as soon as it is answered.

    Args:
        url: of the server.
        clients: connections.
        seconds: how long.
        requests: the endless requests of one client, by its number.
        check: what is wrong with an answer, in words; empty is nothing.
    """
    outcome, lock = Outcome(), threading.Lock()
    start = time.perf_counter()

    def work(number: int) -> None:
        client = Client(url)
        for request in requests(number):
            begun = time.perf_counter()
            if begun - start > seconds:
                return client.close()
            try:
                status, body = client.ask(*request)
            except OSError as error:
                status, body = 0, str(error).encode()
                client.close()
            ms = 1e3 * (time.perf_counter() - begun)
            wrong = check(request, status, body)
            with lock:
                outcome.add(status, ms)
                outcome.wrong += [wrong] if wrong else []

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.seconds = time.perf_counter() - start
    return outcome


class Watch:
    """Asks /health twenty times a second from its start to its end, in a process of its own that no load delays.

    Attributes:
        outcome: what it has seen, once it has ended.
    """

    def __init__(self, url: str, every: float = 0.05) -> None:
        context = multiprocessing.get_context("spawn")
        self.outcome, self._end, self._said = Outcome(), context.Event(), context.SimpleQueue()
        self._process = context.Process(target=_watch, args=(url, every, self._end, self._said))

    def __enter__(self) -> Watch:
        self._process.start()
        self._said.get()  # it has begun
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self.outcome = self._said.get()
        self._process.join()


def _watch(url: str, every: float, end: Any, said: Any) -> None:
    outcome, client, start = Outcome(), Client(url), time.perf_counter()
    said.put("begun")
    while not end.wait(every):
        begun = time.perf_counter()
        try:
            status, _ = client.ask("GET", "/health")
        except OSError:
            status = 0
            client.close()
        outcome.add(status, 1e3 * (time.perf_counter() - begun))
    outcome.seconds = time.perf_counter() - start
    said.put(outcome)


def post(path: str, value: Any) -> Request:
    """A request with a JSON body."""
    return "POST", path, json.dumps(value).encode()
