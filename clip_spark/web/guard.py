"""*Server.* What every request passes: who asks, how often, how much, and how many at once."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Collection
from dataclasses import dataclass

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clip_spark.web.access import Rate, knows_token, needs_token
from clip_spark.web.budget import start_budget
from clip_spark.web.errors import refusal
from clip_spark.web.origins import host_name, is_foreign

AT_ONCE = 4 + 2 * (os.cpu_count() or 1)
"""Requests that are worked on; few enough that the threads leave the event loop its turn."""
MOST_WAITING, WAIT_SECONDS = 256, 15.0
HELD_BODIES = 8
"""The largest bodies that are kept in memory at once."""
HEALTH = "/health"
"""Answered in the event loop: it waits for no thread."""


@dataclass(frozen=True)
class Rules:
    """What a server allows.

    Attributes:
        hosts: names under which it may be called; empty allows all.
        origins: of other web sites whose pages may call it.
        token: that callers must know; empty lets everybody in.
        rate: requests a second of one client; 0 is no limit.
        most_bytes: largest body.
        takedowns: whether those who know the token may take records down; without a token nobody may.
    """

    hosts: Collection[str] = ()
    origins: Collection[str] = ()
    token: str = ""
    rate: float = 0.0
    most_bytes: int = 20 << 20
    takedowns: bool = False


EVERYBODY = Rules()


class Guard:
    """ASGI middleware around the routes."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules, self._rate = app, rules, Rate(rules.rate)
        self._slots, self._waiting, self._held = asyncio.Semaphore(AT_ONCE), 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # clip-retrieval's front joins its host's trailing slash with '/knn-service'.
        path = re.sub("/{2,}", "/", scope["path"])
        scope = {**scope, "path": path, "raw_path": path.encode()}
        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # as GET, without the body
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        if path == HEALTH:
            await self.app(scope, receive, send)
        else:
            await self._with_body(scope, receive, send)

    def _refused(self, scope: Scope) -> JSONResponse | None:
        rules, headers = self.rules, dict(scope["headers"])
        if rules.hosts and host_name(headers) not in rules.hosts:
            names = " or ".join(rules.hosts)
            return refusal(400, f"This server answers only as {names}; --host opens it to others.", "host")
        if is_foreign(scope["method"], scope["path"], headers, rules.origins):
            return refusal(403, "Pages of other web sites may not use this server; --cors allows it.", "cross_site")
        if scope["path"] == HEALTH:
            return None
        if wait := self._rate.wait((scope.get("client") or ("",))[0]):
            return refusal(429, "Too many requests from this address; wait a moment.", "rate", retry_after=wait)
        if rules.token and needs_token(scope["path"]) and not knows_token(headers, rules.token):
            answer = refusal(401, "This server needs its token: 'Authorization: Bearer TOKEN'.", "token")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        return None

    async def _with_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(self)
        try:
            if (refused := await body.read(scope, receive)) is not None:
                await refused(scope, receive, send)
            elif body.whole:
                await self._in_turn(scope, body.replay(receive), send)
        finally:
            self._held -= body.size

    async def _in_turn(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not await self._turn():
            await _busy()(scope, receive, send)
            return
        slot = _Slot(self._slots)

        async def sending(message: Message) -> None:
            slot.give_back()  # the work is done; a client that reads slowly holds up nobody
            await send(message)

        try:
            start_budget()
            await self.app(scope, receive, sending)
        finally:
            slot.give_back()

    async def _turn(self) -> bool:
        """Wait for a slot; false if too many wait already, or for too long."""
        if self._slots.locked() and self._waiting >= MOST_WAITING:
            return False
        if not self._slots.locked():
            return await self._slots.acquire()  # at once: a timer for each request would cost more than its wait
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    def hold(self, size: int) -> bool:
        """Count bytes of bodies in memory; false if they are too many for this server at once."""
        self._held += size
        return self._held <= HELD_BODIES * self.rules.most_bytes


class _Slot:
    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots: asyncio.Semaphore | None = slots

    def give_back(self) -> None:
        if self._slots is not None:
            self._slots.release()
            self._slots = None


class _Body:
    """The body of a request, read whole before anything works on it.

    Attributes:
        size: bytes that were read.
        whole: it came to its end; false where the client went away in the middle, and nobody waits for an answer.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard, self._parts = guard, list[bytes]()
        self.size, self.whole = 0, False

    async def read(self, scope: Scope, receive: Receive) -> JSONResponse | None:
        """Read all of it; returns the refusal if it is too large. The announced length is not trusted."""
        most = self._guard.rules.most_bytes
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and len(announced) < 19 and int(announced) > most:
            return _too_large(most)
        while not self.whole:
            message = await receive()
            if message["type"] != "http.request":
                return None
            part = message.get("body", b"")
            self.size += len(part)
            if not self._guard.hold(len(part)):
                return _busy()
            if self.size > most:
                return _too_large(most)
            self._parts.append(part)
            self.whole = not message.get("more_body", False)
        return None

    def replay(self, receive: Receive) -> Receive:
        """The same as one message."""
        sent = False

        async def again() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": b"".join(self._parts), "more_body": False}

        return again


def _without_body(send: Send) -> Send:
    async def sending(message: Message) -> None:
        body = message["type"] == "http.response.body"
        await send({**message, "body": b""} if body else message)

    return sending


def _too_large(most: int) -> JSONResponse:
    return refusal(413, f"The body is too large; at most {most / (1 << 20):.4g} MB are accepted (--max-upload).")


def _busy() -> JSONResponse:
    return refusal(503, "The server has too much to do; try again in a moment.", "busy", retry_after=1)
