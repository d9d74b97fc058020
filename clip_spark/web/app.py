"""*Server.* The app: routes, guards and the page around a catalog."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from clip_spark import __version__
from clip_spark.errors import ClipSparkError
from clip_spark.search.hits import Wanted
from clip_spark.web import search_routes, wire_routes
from clip_spark.web.catalog import Catalog
from clip_spark.web.errors import add_handlers, refusal
from clip_spark.web.guard import Guard
from clip_spark.web.pictures import PictureCache

STATIC = Path(__file__).parent / "static"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def create_app(
    catalog: Catalog, *, host: str = "", max_k: int = 10_000, max_bytes: int = 20 << 20, cors: Sequence[str] = ()
) -> FastAPI:
    """*Server.* The app over open indices.

    Args:
        catalog: the indices.
        host: address it listens on; on loopback only requests for loopback names are answered, so that no web page
            reaches it through a name of its own that leads there (DNS rebinding).
        max_k: most hits of one request.
        max_bytes: largest body.
        cors: origins whose pages may call it; `*` for all.
    """
    # No /docs: those pages load their scripts from another host. /openapi.json describes the API.
    app = FastAPI(title="clip-spark", version=__version__, docs_url=None, redoc_url=None)
    app.state.catalog, app.state.max_k, app.state.pictures = catalog, max_k, PictureCache()
    add_handlers(app)
    _add_health(app, catalog)
    app.include_router(search_routes.router)
    app.include_router(wire_routes.router)
    app.add_api_route("/", _page, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_middleware(Guard, most_bytes=max_bytes, hosts=LOOPBACK if host in LOOPBACK else ())
    if cors:
        app.add_middleware(CORSMiddleware, allow_origins=list(cors), allow_methods=["*"], allow_headers=["*"])
    return app


def _page() -> FileResponse:
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


def _add_health(app: FastAPI, catalog: Catalog) -> None:
    @app.get("/health")
    def health(request: Request) -> JSONResponse:
        """200 as long as the process answers."""
        return JSONResponse({"status": "ok", "version": __version__, "indices": catalog.names})

    @app.get("/ready")
    def ready(request: Request) -> JSONResponse:
        """200 if every index can be searched and its records read, else 503 with the reason."""
        try:
            for index in catalog.indices.values():
                index.nearest(index.embed_text("ready"), Wanted(k=1))
        except (ClipSparkError, OSError) as error:
            return refusal(503, f"Index '{index.name}' cannot be searched: {error}")
        return JSONResponse({"status": "ready"})
