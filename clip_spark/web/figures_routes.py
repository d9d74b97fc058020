"""*Server.* What the server says of itself: figures for Prometheus, a summary for people, the front's settings."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from clip_spark.web.answers import ERRORS, FrontConfig

router = APIRouter(responses=ERRORS)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Times by stage, requests by path and status, recall of real queries, for Prometheus."""
    catalog = request.app.state.catalog
    watched = {name: index.watch.figures for name, index in catalog.indices.items()}
    return Response(catalog.timings.text(watched), media_type="text/plain; version=0.0.4")


@router.get("/metrics-summary", response_class=PlainTextResponse)
def metrics_summary(request: Request) -> Response:
    """Mean times by stage as a table of text, as clip-retrieval writes it."""
    return PlainTextResponse(request.app.state.catalog.timings.summary())


@router.get("/config.json", response_model=FrontConfig)
def config(request: Request) -> JSONResponse:
    """What clip-retrieval's front asks for first: where its server is, and the index to begin with."""
    answer = {"defaultBackend": str(request.base_url), "defaultIndex": request.app.state.catalog.names[0]}
    return JSONResponse({**answer, "urlColumn": "url"})
