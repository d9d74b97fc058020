"""*Server.* Routes of maps: what is served, tiles, what points are, where a query lands, what lies in a polygon."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from clip_spark.analysis.map.frame import unreadable
from clip_spark.analysis.map.sprites import MOST_PICTURES
from clip_spark.datasets import schema
from clip_spark.errors import SpecError
from clip_spark.search.hits import Wanted
from clip_spark.search.plain_values import csv_bytes
from clip_spark.web.answers import ERRORS
from clip_spark.web.asked import body_of
from clip_spark.web.bodies import json_response, parsed_as
from clip_spark.web.catalog import Catalog
from clip_spark.web.finding import Asked
from clip_spark.web.formats import TYPES, wanted_format
from clip_spark.web.maps.about import ARROW, KNOWN, Version, catalog_of, map_of, target_of
from clip_spark.web.maps.models import (
    MOST_LIT,
    InsideAnswer,
    LandingAnswer,
    MapAnswer,
    MapDetails,
    MapQuery,
    Outline,
    PointAnswer,
)
from clip_spark.web.maps.outline import points_inside
from clip_spark.web.maps.served_map import ServedMap, parse_points
from clip_spark.web.maps.sprites import sprite_sheet
from clip_spark.web.parameters import check_count, has_tag, seconds_since
from clip_spark.web.results import hit_json, record_json, title
from clip_spark.web.search_routes import PICTURE_HEADERS
from clip_spark.web.served import ServedIndex
from clip_spark.web.terms import asked_for

BEST = 24
"""Hits of a query that come with their records."""
MOST_POINTS = 200
"""Records of one request."""

router = APIRouter(prefix="/maps", responses=ERRORS)
Points = Annotated[str, Query(max_length=10_000, description="names with commas: TILE.ROW, such as image-0-0-0.17")]


@router.get("", response_model=list[MapAnswer], dependencies=KNOWN)
def maps(request: Request) -> JSONResponse:
    """The maps that are served."""
    return JSONResponse([_short(served) for served in catalog_of(request).maps.values()])


@router.get("/{name}", response_model=MapDetails, dependencies=KNOWN)
def one_map(request: Request, name: str) -> Response:
    """What drawing a map needs before its first tile."""
    served, max_k = map_of(request, name), min(request.app.state.max_k, MOST_LIT)
    return _kept(request, served, "map") or _tagged(json_response(_details(served, max_k)), served, "map")


@router.get("/{name}/tiles/{tile}", response_class=Response, dependencies=KNOWN)
def tile(request: Request, name: str, tile: str, version: Version = "") -> Response:
    """Where the points of a tile lie, and their columns: an Arrow file."""
    served = map_of(request, name, version)
    if tile in served.tiles and (kept := _kept(request, served, tile)):
        return kept
    return _tagged(Response(served.tile_bytes(tile), media_type=ARROW), served, tile)


@router.get("/{name}/points", response_model=list[PointAnswer | None], dependencies=KNOWN)
def points(request: Request, name: str, points: Points, version: Version = "") -> Response:
    """What some points are; null for a record that was taken down."""
    catalog, served = catalog_of(request), map_of(request, name, version)
    records = served.records_of(parse_points(points, MOST_POINTS))
    live = _live(catalog, served, records)
    return json_response([_shown(catalog, served, *pair) for pair in zip(records, live, strict=True)])


@router.get("/{name}/sprites", response_class=Response, dependencies=KNOWN)
def sprites(request: Request, name: str, points: Points, version: Version = "") -> Response:
    """The pictures of at most 64 points in one: cells of 64 pixels, 8 in a row; empty where there is none."""
    catalog, served = catalog_of(request), map_of(request, name, version)
    wanted = parse_points(points, MOST_PICTURES)
    records = _live(catalog, served, served.records_of(wanted))
    media = sprite_sheet(catalog, served, wanted, records, request.app.state.pictures)
    return Response(media.data, media_type=media.type, headers=PICTURE_HEADERS)


@router.post("/{name}/search", response_model=LandingAnswer, openapi_extra=body_of(MapQuery), dependencies=KNOWN)
async def land(request: Request, name: str) -> Response:
    """Where a text, a picture, a record or a mixture lands on a map, and where its hits lie."""
    started, catalog, data = time.perf_counter(), catalog_of(request), await request.body()

    def work() -> Response:
        served, query = map_of(request, name), parsed_as(MapQuery, data)
        check_count(request.app.state.max_k, query.k)
        target = target_of(catalog, served, query.index)
        with catalog.timings("full_knn_request_time"):
            body = _landing(served, target, query, asked_for(catalog, target, query))
            if query.like is not None and query.terms is None:
                home = catalog.get(query.of) if query.of else target
                body["query"] = record_json(home, home.record(query.like))
        return json_response({**body, "seconds": seconds_since(started)})

    return await run_in_threadpool(work)


@router.post(
    "/{name}/inside", response_model=InsideAnswer, openapi_extra=body_of(Outline, ("format",)), dependencies=KNOWN
)
async def inside(request: Request, name: str) -> Response:
    """The points inside of a polygon, as JSON or as CSV."""
    started, format, data = time.perf_counter(), wanted_format(request), await request.body()

    def work() -> Response:
        if format not in ("json", "csv"):
            raise SpecError("'format' must be json or csv here.")
        outline = parsed_as(Outline, data)
        corners = np.array(outline.polygon, np.float64)
        count, table = points_inside(catalog_of(request), map_of(request, name), corners, outline.kind, outline.k)
        if format == "csv":
            return Response(csv_bytes(table), media_type=TYPES["csv"])
        return json_response({"count": count, "points": table.to_pylist(), "seconds": seconds_since(started)})

    return await run_in_threadpool(work)


def _landing(served: ServedMap, target: ServedIndex, query: MapQuery, asked: Asked) -> dict[str, Any]:
    x, y = _own_place(served, target, query) or served.place_of(asked.vector)
    body: dict[str, Any] = {"x": x, "y": y, "index": target.name, "kind": target.kind, "hits": [], "best": []}
    if query.vector:
        body["vector"] = asked.vector.tolist()
    if not query.k:
        return body
    wanted = Wanted(k=query.k, where=query.where.strip(), columns=(schema.RECORD_ID,))
    found = target.search(asked.vector, wanted, asked.own, asked.kind, asked.less)
    hits = target.hits(found, wanted)
    places = served.places.of(target.kind, [hit.record[schema.RECORD_ID] for hit in hits])
    body["hits"] = [
        {"record_id": hit.record[schema.RECORD_ID], "score": round(hit.score, 6), "x": at and at[0], "y": at and at[1]}
        for hit, at in zip(hits, places, strict=True)
    ]
    best = target.hits(found.page(slice(BEST)), replace(wanted, columns=()))
    return {**body, "best": [hit_json(target, hit) for hit in best]}


def _own_place(served: ServedMap, target: ServedIndex, query: MapQuery) -> tuple[float, float] | None:
    """A record that is the query lies where it is on the map."""
    if query.like is None or query.terms is not None or query.of not in (None, target.name):
        return None
    return served.places.of(target.kind, [query.like])[0]


def _live(catalog: Catalog, served: ServedMap, records: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
    """The same records as the indices have them; None for those that were taken down."""
    found: dict[int, dict[str, Any] | None] = {}
    for kind in {record["kind"] for record in records}:
        mine = [at for at, record in enumerate(records) if record["kind"] == kind]
        if kind in served.homes:
            ids = [records[at][schema.RECORD_ID] for at in mine]
            found.update(zip(mine, catalog.get(served.homes[kind]).records_of(ids), strict=True))
        else:
            found.update((at, records[at]) for at in mine)
    return [found[at] for at in range(len(records))]


def _shown(
    catalog: Catalog, served: ServedMap, point: dict[str, Any], record: dict[str, Any] | None
) -> dict[str, Any] | None:
    if record is None:
        return None
    kind = point["kind"]
    if kind in served.homes:
        return {**record_json(catalog.get(served.homes[kind]), record), "kind": kind}
    return {"title": title(record), "picture": None, "link": None, "record": {**record}, "kind": kind}


def _short(served: ServedMap) -> dict[str, Any]:
    rows = served.listed["rows"]
    return {"name": served.name, "rows": rows, "homes": served.homes, "version": served.version}


def _details(served: ServedMap, max_k: int) -> dict[str, Any]:
    listed = {name: served.listed[name] for name in ("square", "view", "deepest")}
    regions = [zoom["regions"] for zoom in served.regions]
    tiles = {name: tile["points"] for name, tile in served.tiles.items()}
    return {
        **_short(served),
        **listed,
        "columns": served.columns,
        "unreadable": unreadable(served.manifest.extra),
        "max_k": max_k,
        "tiles": tiles,
        "regions": regions,
    }


def _tag(served: ServedMap, what: str) -> str:
    return f'"{served.version}-{what}"'


def _tagged(response: Response, served: ServedMap, what: str) -> Response:
    response.headers["ETag"] = _tag(served, what)
    response.headers["Cache-Control"] = "private, no-cache" if what == "map" else "private, max-age=3600"
    return response


def _kept(request: Request, served: ServedMap, what: str) -> Response | None:
    """304 if the browser has it."""
    return _tagged(Response(status_code=304), served, what) if has_tag(request, _tag(served, what)) else None
