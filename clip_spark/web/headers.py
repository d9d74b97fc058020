"""*Server.* Around everything: headers on every answer, a sentence for every error, a line for every request."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clip_spark.web.errors import refusal
from clip_spark.web.metrics import Timings

log = logging.getLogger(__name__)
requests = logging.getLogger("clip_spark.requests")
"""One JSON object per request, where `--log-requests` asks for it; else silent, whatever its parents let through."""
requests.setLevel(logging.WARNING)

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
}
"""The page loads nothing from other hosts, and the browser holds it to that. A response's own value wins."""


def log_requests() -> None:
    """*Server.* From now on each request is a line of JSON on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    requests.addHandler(handler)
    requests.setLevel(logging.INFO)
    requests.propagate = False


class Outermost:
    """ASGI middleware around all others.

    Attributes:
        shared: pages of other origins may use the answers.
        counts: where requests are counted.
    """

    def __init__(self, app: ASGIApp, shared: bool = False, counts: Timings | None = None) -> None:
        headers = {**HEADERS, "Cross-Origin-Resource-Policy": "cross-origin"} if shared else HEADERS
        self.app, self._counts = app, counts or Timings()
        self._extra = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; what goes wrong on the way is logged and said without detail."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, self._extra)
        self._counts.began()
        try:
            await self.app(scope, receive, answer)
        except Exception as error:
            log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
            if answer.status:
                raise  # half an answer is cut off, not continued
            await refusal(500, "Something went wrong on the server; its log says what.")(scope, receive, answer)
        finally:
            self._counts.ended(scope["path"], answer.status)
            if requests.isEnabledFor(logging.INFO):
                requests.info(answer.line(scope))


class _Answer:
    """Sends one answer with the headers, and remembers what was sent."""

    def __init__(self, send: Send, extra: list[tuple[bytes, bytes]]) -> None:
        self._send, self._extra = send, extra
        self._started, self.status, self._bytes = time.perf_counter(), 0, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            present = {name.lower() for name, _ in message["headers"]}
            added = [pair for pair in self._extra if pair[0] not in present]
            message = {**message, "headers": [*message["headers"], *added]}
        self._bytes += len(message.get("body", b""))
        await self._send(message)

    def line(self, scope: Scope) -> str:
        """The request as JSON; status 0 was never answered. What was asked for is private: no query, no headers."""
        fields = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": (scope.get("client") or [""])[0],
            "method": scope["method"],
            "path": scope["path"],
            "status": self.status,
            "bytes": self._bytes,
            "seconds": round(time.perf_counter() - self._started, 4),
        }
        return json.dumps(fields)
