"""A small HTTP client, and a load of several of them, for bench_serve.py and serve_load.py."""

from __future__ import annotations

import json
import multiprocessing
import select
import socket
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

    seconds = 60.0
    """For each step of an answer."""

    def __init__(self, url: str) -> None:
        found = urlsplit(url)
        self._place = str(found.hostname), int(found.port or 80)
        self._host = f"{found.hostname}:{found.port}"
        self._socket: socket.socket | None = None
        self._asked, self._got, self._end, self._again = b"", bytearray(), -1, False

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body; raises OSError where the connection breaks before the answer is whole."""
        self.begin(method, path, body)
        while (answer := self.more()) is None:
            pass
        return answer

    def begin(self, method: str, path: str, body: bytes = b"") -> None:
        """Send a request."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._asked, self._again = head.encode() + body, self._socket is not None
        try:
            self._send()
        except ConnectionError:
            self._once_more()

    def _send(self) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(self._place, self.seconds)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._got, self._end = bytearray(), -1
        self._socket.sendall(self._asked)

    def _once_more(self) -> None:
        """The server may have closed a connection that was idle."""
        self.close()
        if not self._again or self._got:
            raise ConnectionResetError("the server closed the connection")
        self._again = False
        self._send()

    def more(self) -> tuple[int, bytes] | None:
        """Wait for more of the answer; status and body once it is whole."""
        assert self._socket is not None
        try:
            part = self._socket.recv(1 << 18)
        except ConnectionError:
            part = b""
        if not part:
            return self._once_more()
        self._got += part
        if self._end < 0:
            self._end = self._whole()
        return None if self._end < 0 or len(self._got) < self._end else self._answer()

    def _whole(self) -> int:
        """Bytes of the whole answer; -1 until its head has come."""
        head = self._got.find(b"\r\n\r\n")
        length = self._header(b"content-length") or b"0"
        return -1 if head < 0 else head + 4 + (0 if self._asked.startswith(b"HEAD") else int(length))

    def _header(self, name: bytes) -> bytes:
        head = bytes(self._got[: self._got.find(b"\r\n\r\n") + 2]).lower()
        return head.partition(b"\r\n" + name + b": ")[2].partition(b"\r\n")[0]

    def _answer(self) -> tuple[int, bytes]:
        if self._got.startswith(b"HTTP/1.0") or self._header(b"connection") == b"close":
            self.close()
        return int(self._got[9:12]), bytes(self._got[self._got.find(b"\r\n\r\n") + 4 :])

    def fileno(self) -> int:
        """Of the connection, for a selector; -1 where there is none."""
        return -1 if self._socket is None else self._socket.fileno()

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


Check = Callable[[Request, int, bytes], str]
"""What is wrong with an answer, in words; empty is nothing."""


def run_load(
    url: str,
    clients: int,
    seconds: float,
    requests: Callable[[int], Iterator[Request]],
    check: Check = lambda *_: "",
) -> Outcome:
    """So many clients, each asking again as soon as it is answered; one thread, so that they cost little CPU.

    Args:
        url: of the server.
        clients: connections.
        seconds: how long.
        requests: the endless requests of one client, by its number.
        check: what is wrong with an answer.
    """
    outcome = Outcome()
    visitors = [_Visitor(Client(url), requests(number), check, outcome) for number in range(clients)]
    start = time.perf_counter()
    waiting = {one.client.fileno(): one for one in visitors if one.begin_until(start + seconds)}
    while waiting:
        ready, _, _ = select.select(waiting, (), (), Client.seconds)
        for place in ready or list(waiting):
            one = waiting.pop(place)
            goes_on = one.read(late=not ready)
            if goes_on or one.begin_until(start + seconds):
                waiting[one.client.fileno()] = one
    for one in visitors:
        one.client.close()
    outcome.seconds = time.perf_counter() - start
    return outcome


class _Visitor:
    """A client of a load, its requests, and the one that it waits for."""

    def __init__(self, client: Client, requests: Iterator[Request], check: Check, outcome: Outcome) -> None:
        self.client, self._requests, self._check, self._outcome = client, requests, check, outcome
        self._request, self._begun = ("", "", b""), 0.0

    def begin_until(self, end: float) -> bool:
        """Ask for the next thing that can be sent; false where there is none, or no time."""
        while (begun := time.perf_counter()) < end and (request := next(self._requests, None)) is not None:
            self._request, self._begun = request, begun
            try:
                self.client.begin(*request)
                return True
            except OSError as error:
                self._end(0, str(error).encode())
                time.sleep(0.01)  # nobody listens, perhaps
        return False

    def read(self, late: bool) -> bool:
        """Take in what has come; true while more of the answer is awaited."""
        try:
            if late:
                raise TimeoutError("no answer")
            answer = self.client.more()
        except OSError as error:
            answer = 0, str(error).encode()
            self.client.close()
        if answer is None:
            return True
        self._end(*answer)
        return False

    def _end(self, status: int, body: bytes) -> None:
        self._outcome.add(status, 1e3 * (time.perf_counter() - self._begun))
        if wrong := self._check(self._request, status, body):
            self._outcome.wrong.append(wrong)


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
