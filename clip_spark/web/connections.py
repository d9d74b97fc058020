"""*Server.* Connections: how long a client may take to ask and to listen, and how many there are at once.

uvicorn ends connections on which nothing comes after an answer, and no others: half a header or half a body stays open
for ever, and enough of them take all files that a process may open. Nor does its quick parser limit the head of a
request. h11 does, but it is written in Python and takes a third of a millisecond more for each.
"""

from __future__ import annotations

import asyncio
import json
import resource
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from clip_spark.web.headers import HEADERS

HEAD_SECONDS, BODY_SECONDS, KEEP_ALIVE_SECONDS, WRITE_SECONDS = 15.0, 60.0, 15.0, 60.0
"""For all of a request's head, all of its body, the next request, and for a client that does not read its answer."""
MOST_HEAD = 64 << 10
"""Bytes of a request's head."""
CHUNK_HEADS = 8
"""Bytes that the smallest chunk of a body may have around each of its own."""
MOST_CONNECTIONS = 1000
OTHER_FILES = 100
"""Files that a server has open beside its connections, at least."""


def most_connections() -> int:
    """*Server.* How many connections the files of this process allow; raises its own limit as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MOST_CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, 4 * MOST_CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    # A third: as many again may have been accepted in one burst, and as many be closing.
    return max(8, min(MOST_CONNECTIONS, (soft - OTHER_FILES) // 3))


class Connection(HttpToolsProtocol):
    """One connection with deadlines; the newest takes the place of the one that has been idle longest."""

    most = MOST_CONNECTIONS

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._phase, self._unfinished, self._around = "", "", 0
        self._deadline: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self.since = time.monotonic()
        """When its phase began, by the clock that only moves forward."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, in place of an idle one if there are too many."""
        super().connection_made(transport)
        self._enter("head")
        if len(self.connections) > self.most:
            self._make_room()

    def _make_room(self) -> None:
        others = [one for one in self.connections if isinstance(one, Connection) and one is not self]
        idle = [one for one in others if one.phase in ("head", "idle")] or [
            one for one in others if one.phase == "body"
        ]
        chosen = min(idle, key=lambda one: one.since, default=self)
        self.connections.discard(chosen)
        chosen.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget its deadlines."""
        self._enter("")
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Work off what came, then see what is still awaited."""
        self._around += len(data)
        super().data_received(data)
        if self._unfinished and self._around > MOST_HEAD and not self.transport.is_closing():
            self.send_400_response("")
        self._see_phase()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._unfinished, self._around = "head", 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of the head; those behind a body in chunks are no headers of a request."""
        if self._unfinished == "head":
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its body comes; raises ValueError, which the parser makes a bad request, where the head is too large."""
        self._unfinished = "body"
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MOST_HEAD:
            raise ValueError("the head is too large")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        self._around -= (CHUNK_HEADS + 1) * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It is whole."""
        self._unfinished = ""
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The next request has its own time."""
        super().on_response_complete()
        self._see_phase()

    @property
    def phase(self) -> str:
        """What it waits for: head, body, idle (nothing came yet after an answer), or empty while it is answered."""
        return self._phase

    def _see_phase(self) -> None:
        if self.transport.is_closing():
            self._enter("")
        elif self._unfinished or self.cycle is None:
            self._enter(self._unfinished or "head")
        else:
            self._enter("idle" if self.cycle.response_complete else "")

    def _enter(self, phase: str) -> None:
        """Begin a phase; one that goes on keeps its deadline, however often a byte comes."""
        if phase == self._phase:
            return
        if self._deadline is not None:
            self._deadline.cancel()
        seconds = {"head": HEAD_SECONDS, "body": BODY_SECONDS, "idle": KEEP_ALIVE_SECONDS}.get(phase)
        self._phase, self.since = phase, time.monotonic()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)

    def pause_writing(self) -> None:
        """The client does not read; wait a while."""
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets our headers and our JSON too, unless it follows a request that is still answered."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = json.dumps({"message": "This is no HTTP request that can be read.", "code": "bad_request"}).encode()
            own = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
            head = "".join(f"{name}: {value}\r\n" for name, value in {**HEADERS, **own}.items())
            self.transport.write(STATUS_LINE[400] + head.encode() + b"\r\n" + body)
        self.transport.close()
