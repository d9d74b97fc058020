"""*Server.* How near the points of a tile are to a query: exact cosines with vectors of the indices beside a map."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from clip_spark.analysis.map.tiles import arrow_file
from clip_spark.datasets import schema
from clip_spark.index.open.parts import MISSING
from clip_spark.web.answers import ERRORS
from clip_spark.web.asked import body_of
from clip_spark.web.bodies import parsed_as
from clip_spark.web.budget import check_budget
from clip_spark.web.catalog import Catalog
from clip_spark.web.finding import Asked
from clip_spark.web.maps.about import ARROW, KNOWN, Version, catalog_of, map_of, target_of
from clip_spark.web.maps.models import ScoreQuery
from clip_spark.web.maps.served_map import ServedMap, kind_of
from clip_spark.web.served import ServedIndex
from clip_spark.web.terms import asked_for

BLOCK_ROWS = 4096
"""Vectors of a tile that are in memory at once: 8 MB at 512 numbers."""

router = APIRouter(prefix="/maps", responses=ERRORS)


@router.post(
    "/{name}/tiles/{tile}/scores", response_class=Response, openapi_extra=body_of(ScoreQuery), dependencies=KNOWN
)
async def scores(request: Request, name: str, tile: str, version: Version = "") -> Response:
    """The cosine of each point of a tile with a query, in the order of its points: an Arrow file."""
    catalog, data = catalog_of(request), await request.body()

    def work() -> Response:
        served, query = map_of(request, name, version), parsed_as(ScoreQuery, data)
        asked = asked_for(catalog, target_of(catalog, served, query.index), query)
        table = pa.table({"score": tile_scores(catalog, served, tile, asked)})
        return Response(arrow_file(table), media_type=ARROW)

    return await run_in_threadpool(work)


def tile_scores(catalog: Catalog, served: ServedMap, tile: str, asked: Asked) -> pa.Array:
    """*Server.* Cosines of the points of a tile, float32; raises NotFound.

    Null are records that were taken down, those of a kind whose index is not served, and what the query does not want.
    """
    ids = served.records_of_tile(tile)[schema.RECORD_ID]
    home = served.homes.get(kind_of(tile))
    if home is None:
        return pa.nulls(len(ids), pa.float32())
    found = cosines(catalog.get(home), ids, asked)
    return pa.array(found, mask=np.isnan(found))


def cosines(index: ServedIndex, ids: pa.ChunkedArray, asked: Asked) -> np.ndarray:
    """*Server.* Of the records with some ids, float32 (n,); NaN where there is none."""
    positions = index.positions_of(ids)
    found = np.full(len(positions), np.nan, np.float32)
    exclusion = index.searcher.exclusion(asked.vector, asked.less) if len(asked.less) else None
    there = np.flatnonzero(positions != MISSING)
    for first in range(0, len(there), BLOCK_ROWS):
        check_budget()
        rows = there[first : first + BLOCK_ROWS]
        vectors = index.searcher.parts.vectors.take(positions[rows])
        scores = vectors @ asked.vector
        found[rows] = scores if exclusion is None else np.where(exclusion.excludes(vectors), np.nan, scores)
    return found
