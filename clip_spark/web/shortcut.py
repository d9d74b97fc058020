"""*Server.* The routes that programs ask most, without the framework's way to them.

FastAPI finds a route by trying all, opens stacks for dependencies, and calls the endpoint inside of three handlers of
errors. Endpoints that take the request and return a response need none of it, and it is as much work as theirs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from clip_spark.errors import ClipSparkError
from clip_spark.web.errors import refused

Endpoint = Callable[[Request], Awaitable[Response]]


class Shortcut:
    """ASGI middleware inside of the guards: some routes are called at once, the others in FastAPI's way.

    Args:
        app: the others.
        endpoints: (method, path) -> the endpoint that FastAPI has there too, for whatever comes by another way.
    """

    def __init__(self, app: ASGIApp, endpoints: Mapping[tuple[str, str], Endpoint]) -> None:
        self.app, self._endpoints = app, endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        endpoint = self._endpoints.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await self.app(scope, receive, send)
            return
        try:
            answer = await endpoint(Request(scope, receive))
        except ClipSparkError as error:
            answer = refused(error)
        await answer(scope, receive, send)
