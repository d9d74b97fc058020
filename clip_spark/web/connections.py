"""*Server.* Connections: how long a client may take to ask and to listen, and how many there are at once.

uvicorn ends connections on which nothing comes after an answer, and no others: half a header or half a body stays open
for ever, and enough of them take all files that a process may open.
"""

from __future__ import annotations

import asyncio
import json
import resource
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from clip_spark.web.headers import HEADERS

HEAD_SECONDS, BODY_SECONDS, KEEP_ALIVE_SECONDS, WRITE_SECONDS = 15.0, 60.0, 15.0, 60.0
"""For all of a request's head, all of its body, the next request, and for a client that does not read its answer."""
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


class Connection(H11Protocol):
    """One connection with deadlines; the newest takes the place of the one that has been idle longest."""

    most = MOST_CONNECTIONS

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._phase = ""
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

    def handle_events(self) -> None:
        """Work off what came, then see what is still awaited."""
        super().handle_events()
        self._see_phase()

    def on_response_complete(self) -> None:
        """The next request has its own time."""
        super().on_response_complete()
        self._see_phase()

    @property
    def phase(self) -> str:
        """What it waits for: head, body, idle (nothing came yet after an answer), or empty while it is answered."""
        return self._phase

    def _see_phase(self) -> None:
        state = self.conn.their_state
        if self.transport.is_closing():
            self._enter("")
        elif state is h11.SEND_BODY:
            self._enter("body")
        elif state is h11.IDLE:
            self._enter("head" if self.cycle is None or self.conn.trailing_data[0] else "idle")
        else:
            self._enter("")

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
        """What is no HTTP gets our headers and our JSON too."""
        body = json.dumps({"message": "This is no HTTP request that can be read.", "code": "bad_request"}).encode()
        own = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
        head = [(name.encode(), value.encode()) for name, value in {**HEADERS, **own}.items()]
        events = (h11.Response(status_code=400, headers=head), h11.Data(data=body), h11.EndOfMessage())
        try:
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            pass  # an answer had begun
        self.transport.close()
