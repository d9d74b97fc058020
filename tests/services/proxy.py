"""A TCP proxy in front of an S3 server that injects faults into chosen requests, on loopback.

It reads each request's head to choose a fault and else passes bytes through, so that signatures stay valid.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.services.processes import LOOPBACK

SLOW_DOWN = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
)
INTERNAL = b'<?xml version="1.0"?><Error><Code>InternalError</Code><Message>We encountered an error.</Message></Error>'
NOTHING_LISTED = (
    b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>'
    b"<KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"
)
ANSWERS = {
    "503": ("503 Slow Down", SLOW_DOWN),
    "500": ("500 Internal Server Error", INTERNAL),
    "stale-list": ("200 OK", NOTHING_LISTED),
}
"""Faults that the proxy answers itself; a stale listing is one from before anything was written."""
FAULTS = ("503", "500", "cut-request", "cut-body", "slow-body")


class Passed(NamedTuple):
    """A request that was passed on: when it came, when its answer was through (time.monotonic), bytes of the answer."""

    begin: float
    end: float
    bytes: int


@dataclass
class FaultProxy:
    """A running proxy.

    Attributes:
        target: port of the server.
        choose: method and path of a request -> one of FAULTS or ANSWERS, or "" to pass it on.
        seen: method or fault -> how often.
        wait: seconds that each request takes longer, as over a far network.
        passed: requests that were passed on.
    """

    target: int
    choose: Callable[[str, str], str]
    port: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    wait: float = 0.0
    passed: list[Passed] = field(default_factory=list)

    @property
    def longest_chain(self) -> int:
        """The most requests that were passed on one after the other: how many may have waited for each other."""
        count, last = 0, float("-inf")
        for one in sorted(self.passed, key=lambda one: one.end):
            if one.begin >= last:
                count, last = count + 1, one.end
        return count

    @property
    def faults(self) -> int:
        """How many requests of a storm went wrong so far."""
        return sum(self.seen[fault] for fault in ("503", "500", "cut-request", "cut-body", "slow-body"))

    @property
    def endpoint(self) -> str:
        """The URL for clients."""
        return f"http://{LOOPBACK}:{self.port}"

    def handle(self, client: socket.socket) -> None:
        """Serve one connection: request after request until either side closes it."""
        with client, contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.target)) as server:
            while self._one_request(client, server):
                pass

    def _one_request(self, client: socket.socket, server: socket.socket) -> bool:
        head, rest = _read_head(client)
        if not head:
            return False
        begin = time.monotonic()
        time.sleep(self.wait)
        method, path = head.split(b" ", 2)[:2]
        fault = self.choose(method.decode(), path.decode())
        self.seen[fault or method.decode()] += 1
        length = _content_length(head)
        if fault == "cut-request":
            return False
        if b"100-continue" in head.lower():
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:"))
        body = _read_exactly(client, length, rest)
        if fault in ANSWERS:
            client.sendall(_answer(fault, method == b"HEAD"))
            return False
        server.sendall(head + body)
        size, goes_on = self._pass_answer(server, client, method.decode(), fault)
        self.passed.append(Passed(begin, time.monotonic(), size))
        return goes_on

    def _pass_answer(self, server: socket.socket, client: socket.socket, method: str, fault: str) -> tuple[int, bool]:
        """Bytes of the body, and whether the connection goes on."""
        head, rest = _read_head(server)
        while head.startswith(b"HTTP/1.1 100"):
            head, rest = _read_head(server, rest)
        if not head:
            return 0, False
        client.sendall(head)
        if method == "HEAD" or b" 204 " in head[:20] or b" 304 " in head[:20]:
            return 0, True
        chunked = b"transfer-encoding: chunked" in head.lower()
        left = None if chunked else _content_length(head)
        cut_at = None if fault != "cut-body" or left is None else left // 2
        sent, data = 0, rest
        while True:
            if cut_at is not None and sent + len(data) >= cut_at:
                client.sendall(data[: max(0, cut_at - sent)])
                return sent, False
            if fault == "slow-body":
                time.sleep(0.2)
            client.sendall(data)
            sent += len(data)
            if (left is not None and sent >= left) or (chunked and data.endswith(b"0\r\n\r\n")):
                return sent, True
            data = server.recv(1 << 16)
            if not data:
                return sent, False


def _read_head(source: socket.socket, got: bytes = b"") -> tuple[bytes, bytes]:
    while b"\r\n\r\n" not in got:
        data = source.recv(1 << 16)
        if not data:
            return b"", b""
        got += data
    end = got.index(b"\r\n\r\n") + 4
    return got[:end], got[end:]


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":", 1)[1])
    return 0


def _read_exactly(source: socket.socket, length: int, got: bytes) -> bytes:
    parts, have = [got], len(got)
    while have < length:
        data = source.recv(min(1 << 20, length - have))
        if not data:
            raise ConnectionError("the client went away")
        parts.append(data)
        have += len(data)
    return b"".join(parts)


def _answer(fault: str, headless: bool) -> bytes:
    text, body = ANSWERS[fault][0], b"" if headless else ANSWERS[fault][1]
    head = f"HTTP/1.1 {text}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def every(fault: str, one_in: int, seed: int = 0) -> Callable[[str, str], str]:
    """A fault for one of `one_in` requests, at random but the same for the same seed; `mixed` draws the fault too."""
    draw = random.Random(seed)

    def choose(_method: str, _path: str) -> str:
        if draw.randrange(one_in):
            return ""
        return draw.choice(FAULTS) if fault == "mixed" else fault

    return choose


def no_fault(_method: str, _path: str) -> str:
    """Pass everything on."""
    return ""


@contextlib.contextmanager
def fault_proxy(target: int, choose: Callable[[str, str], str] = no_fault, wait: float = 0.0) -> Iterator[FaultProxy]:
    """Run a proxy in front of `target` while the block runs."""
    proxy = FaultProxy(target, choose, wait=wait)
    with socket.create_server((LOOPBACK, 0), backlog=256) as listener:
        proxy.port = listener.getsockname()[1]

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=proxy.handle, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield proxy
        listener.shutdown(socket.SHUT_RDWR)
