"""*Server.* What every request passes: slashes collapsed, bodies limited, headers that keep pages to themselves."""

from __future__ import annotations

import re
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clip_spark.web.errors import refusal

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
}
"""The page loads nothing from other hosts, and the browser holds it to that. A response's own value wins."""


class Guard:
    """ASGI middleware around the app.

    Attributes:
        most_bytes: largest body.
        hosts: names under which the server may be called; empty allows all.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, hosts: Collection[str] = ()) -> None:
        self.app, self.most_bytes, self.hosts = app, most_bytes, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        guarded = _with_headers(send)
        if self.hosts and _host_name(scope) not in self.hosts:
            refused = refusal(400, f"This server answers only as {' or '.join(self.hosts)}; --host opens it to others.")
            await refused(scope, receive, guarded)
            return
        body = await _read_body(scope, receive, self.most_bytes)
        if body is None:
            most = self.most_bytes / (1 << 20)
            refused = refusal(413, f"The body is too large; at most {most:.4g} MB are accepted (--max-upload).")
            await refused(scope, receive, guarded)
            return
        # clip-retrieval's front joins its host's trailing slash with '/knn-service'.
        path = re.sub("/{2,}", "/", scope["path"])
        await self.app({**scope, "path": path, "raw_path": path.encode()}, _replay(body, receive), guarded)


def _host_name(scope: Scope) -> str:
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
    return re.sub(r":\d+$", "", host).strip("[]")


async def _read_body(scope: Scope, receive: Receive, most_bytes: int) -> bytes | None:
    """The body, or None if it is too large; the announced length is not trusted."""
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > most_bytes:
        return None
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most_bytes:
            return None
        more = message["type"] == "http.request" and message.get("more_body", False)
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*message["headers"], *(pair for pair in extra if pair[0] not in present)]}
        await send(message)

    return wrapped
