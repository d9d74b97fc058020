"""*Server.* What the page will ask for first, answered while its HTML is: a visit then waits for one round trip less.

The question is put to the routes as the page would put it, and the answer goes into the page as it is (`static/api.js`
takes it if it asks just that). So limits, conditions, takedowns and figures are those of the route. The page never
waits long: what is slow or wrong is left out, and the page asks in its own way and tells what it hears.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.types import Message

from clip_spark.web.access import knows_token
from clip_spark.web.budget import start_budget
from clip_spark.web.catalog import Catalog
from clip_spark.web.pairs import pairs_of

SECONDS = 0.5
"""The longest that the page waits; a round trip on a slow network takes more."""
MOST_LEFT = 2
"""Questions that were given up and still run; while there are so many, pages are sent without answers."""
PAGE, SAMPLE, IN_SIGHT = 40, 24, 12
"""Hits, records of the start page, and small pictures, as the page asks for them."""
PASSED_ON = ("q", "like", "of", "index", "unique", "where")
"""Parameters of the page's address that its search has too."""

_left: set[asyncio.Task[bytes]] = set()


async def answer_ahead(request: Request) -> bytes:
    """*Server.* `{path, given, answer}` as JSON that may stand in HTML; empty where there is nothing to say in time."""
    if not _is_visit(request) or len(_left) >= MOST_LEFT:
        return b""
    task = asyncio.create_task(_answered(request))
    await asyncio.wait({task}, timeout=SECONDS)
    if task.done():
        return task.result()
    _left.add(task)
    task.add_done_callback(_left.discard)
    return b""


def may_know(request: Request) -> bool:
    """*Server.* Whether whoever asks for the page may be told what is served."""
    token: str = request.app.state.token
    return not token or knows_token(dict(request.scope["headers"]), token)


def _is_visit(request: Request) -> bool:
    """A browser that will show hits; those of a map, and of several terms, are asked for by their own routes."""
    given = request.query_params
    html = "text/html" in request.headers.get("accept", "")
    return html and may_know(request) and not given.get("map") and not given.get("also")


async def _answered(request: Request) -> bytes:
    start_budget(SECONDS)
    try:
        path, given = await run_in_threadpool(_question, request.app.state.catalog, request.query_params)
        answer = await _asked(request, path, given)
    except Exception:  # noqa: BLE001 - the page asks again, and that request says what is wrong
        return b""
    body = orjson.dumps({"path": path, "given": given, "answer": orjson.Fragment(answer)})
    return body.replace(b"<", b"\\u003c") if answer else b""


def _question(catalog: Catalog, view: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """What the page asks first: path and parameters, as `static/api.js` makes them of a view."""
    own = catalog.indices.get(view.get("index", "")) or catalog.get(None)
    if not view.get("q") and not view.get("like"):
        return "sample", {"index": own.name, "k": str(SAMPLE), "thumbnails": str(IN_SIGHT)}
    given = {name: view[name] for name in PASSED_ON if view.get(name)}
    if pairs := pairs_of(catalog, own):
        both = {"both_weight": view["both"]} if view.get("both") else {}
        given.update(pair=pairs[0], **both)
    return "search", {**given, "k": str(PAGE), "offset": "0", "thumbnails": str(IN_SIGHT)}


async def _asked(request: Request, path: str, given: Mapping[str, str]) -> bytes:
    """The body of the answer of a GET route; empty where its status is not 200."""
    scope = {**request.scope, "path": f"/{path}", "raw_path": f"/{path}".encode(), "method": "GET"}
    scope.update(query_string=urlencode(given).encode(), headers=[(b"accept", b"application/json")])
    status, parts = 0, list[bytes]()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        parts.append(message.get("body", b""))

    router: Any = request.app.router
    await router(scope, receive, send)
    return b"".join(parts) if status == 200 else b""
