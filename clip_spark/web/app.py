"""*Server.* The app: routes, guards and the page around a catalog."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from clip_spark import __version__
from clip_spark.datasets.manifest import Manifest
from clip_spark.errors import ClipSparkError
from clip_spark.web import card, figures_routes, lines_routes, page, query_routes, search_routes, takedowns, wire_routes
from clip_spark.web.access import COOKIE, is_token
from clip_spark.web.catalog import Catalog
from clip_spark.web.errors import add_handlers, refusal
from clip_spark.web.guard import EVERYBODY, Guard, Rules
from clip_spark.web.headers import Outermost
from clip_spark.web.maps import routes as maps_routes
from clip_spark.web.maps import scores as maps_scores
from clip_spark.web.pictures import PictureCache
from clip_spark.web.shortcut import Shortcut


def create_app(
    catalog: Catalog, rules: Rules = EVERYBODY, *, max_k: int = 10_000, examples: Sequence[Manifest] = ()
) -> FastAPI:
    """*Server.* The app over open indices.

    Args:
        catalog: the indices.
        rules: who may ask for what.
        max_k: most hits of one request.
        examples: lines of n-grams, as sample-lines has kept them.
    """
    # No /docs: those pages load their scripts from another host. /openapi.json describes the API.
    app = FastAPI(title="clip-spark", version=__version__, docs_url=None, redoc_url=None)
    app.state.catalog, app.state.max_k, app.state.pictures = catalog, max_k, PictureCache()
    app.state.examples = tuple(examples)
    add_handlers(app)
    app.add_api_route("/health", _health, name="health")
    app.add_api_route("/ready", _ready, name="ready")
    app.include_router(search_routes.router)
    for routes in (card, query_routes, takedowns, lines_routes, maps_routes, maps_scores, wire_routes, figures_routes):
        app.include_router(routes.router)
    app.add_api_route("/token", _log_in, methods=["POST"], status_code=204, include_in_schema=False)
    app.include_router(page.router)
    app.mount("/static", StaticFiles(directory=page.STATIC))
    app.state.token, app.state.takedowns = rules.token, rules.takedowns and bool(rules.token)
    app.add_middleware(Shortcut, endpoints={("GET", "/health"): _health, **wire_routes.PLAIN})
    app.add_middleware(Guard, rules=rules)
    if rules.origins:
        app.add_middleware(CORSMiddleware, allow_origins=list(rules.origins), allow_methods=["*"], allow_headers=["*"])
    app.add_middleware(Outermost, shared=bool(rules.origins), counts=catalog.timings)
    return app


async def _log_in(request: Request) -> Response:
    """The page hands in the token that a person typed; a cookie carries it from then on, to pictures too."""
    given = (await request.body()).decode("utf-8", "replace").strip()
    if not request.app.state.token or not is_token(given, request.app.state.token):
        return refusal(401, "This is not the token of this server.", "token")
    answer = Response(status_code=204)
    secure = request.url.scheme == "https"  # behind a proxy: where --proxy names it, what it says
    answer.set_cookie(COOKIE, given, httponly=True, samesite="strict", secure=secure)
    return answer


async def _health(request: Request) -> JSONResponse:
    """200 as long as the process answers."""
    names = request.app.state.catalog.names
    return JSONResponse({"status": "ok", "version": __version__, "indices": names})


def _ready(request: Request) -> JSONResponse:
    """200 if every index can be searched, and a record and a vector of it read; else 503 with the reason."""
    catalog: Catalog = request.app.state.catalog
    try:
        for index in catalog.indices.values():
            index.check()
    except (ClipSparkError, OSError) as error:
        return refusal(503, f"Index '{index.name}' cannot be searched: {error}")
    told = {index.name: "; ".join(filter(None, (index.outdated, index.warning))) for index in catalog.indices.values()}
    notes = {name: note for name, note in told.items() if note}
    return JSONResponse({"status": "ready", **({"notes": notes} if notes else {})})
