"""*Server.* Records are taken down by those who know the token, where the server allows it (`--takedowns`).

They are taken down as `remove-records` does it, so there is one kind of takedown: a file beside the index, which every
open searcher sees, and after which no rebuild brings a record back.
"""

from __future__ import annotations

import logging

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from clip_spark.errors import InputError
from clip_spark.index.open.removals import take_down as records_down
from clip_spark.web.answers import ERRORS, TakedownAnswer
from clip_spark.web.asked import TakedownRequest, body_of
from clip_spark.web.bodies import json_response, parsed_as
from clip_spark.web.errors import NotFound
from clip_spark.web.parameters import known_parameters

log = logging.getLogger(__name__)

router = APIRouter(responses=ERRORS)


@router.post(
    "/takedown",
    response_model=TakedownAnswer,
    openapi_extra=body_of(TakedownRequest),
    dependencies=[Depends(known_parameters)],
)
async def take_down(request: Request) -> Response:
    """Take records of one index down, all of them or none; refused unless the server runs with --takedowns."""
    data = await request.body()

    def work() -> Response:
        if not request.app.state.takedowns:
            raise InputError("This server takes nothing down (--takedowns lets those who know its token do so).")
        asked = parsed_as(TakedownRequest, data)
        served = request.app.state.catalog.get(asked.index)
        ids = list(dict.fromkeys(asked.record_ids))
        positions = served.searcher.records.find_all(ids)
        if len(positions) < len(ids):
            missing = len(ids) - len(positions)
            raise NotFound(f"{missing} of the records are not in index '{served.name}'; nothing was taken down.")
        new, _ = records_down(served.searcher.manifest.uri, ids)
        served.searcher.parts.refresh()  # this answer and all that follow are without them
        log.info("%d records of index '%s' were taken down over HTTP", len(new), served.name)
        return json_response({"index": served.name, "removed": len(new)})

    return await run_in_threadpool(work)
