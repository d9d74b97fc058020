"""*Server.* POST /query: several queries, weighted ones too, to several indices in one request."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from clip_spark.errors import SpecError
from clip_spark.search.hits import Wanted
from clip_spark.web.answers import ERRORS, QueryAnswer
from clip_spark.web.asked import QueryRequest, QueryTerms, body_of
from clip_spark.web.bodies import parsed_as
from clip_spark.web.budget import check_budget
from clip_spark.web.catalog import Catalog
from clip_spark.web.finding import Asked, Found, Page, check_page
from clip_spark.web.formats import answer, wanted_format
from clip_spark.web.pairs import Beside, beside, find_paired, on_side, shown
from clip_spark.web.parameters import check_count, known_parameters, seconds_since
from clip_spark.web.served import ServedIndex
from clip_spark.web.terms import asked_for

MOST_HITS = 100_000
"""Hits of all answers of one request together."""

router = APIRouter(responses=ERRORS)


@router.post(
    "/query",
    response_model=QueryAnswer,
    openapi_extra=body_of(QueryRequest, ("format",)),
    dependencies=[Depends(known_parameters)],
)
async def query(request: Request) -> Response:
    """Hits for each query in each index; a query is one thing to search for, or several with weights (`terms`)."""
    started, catalog, max_k = time.perf_counter(), request.app.state.catalog, request.app.state.max_k
    format, data = wanted_format(request), await request.body()

    def work() -> Response:
        asked = parsed_as(QueryRequest, data)
        check_count(max_k, asked.offset + asked.k)
        answers = _answers(catalog, asked, max_k)
        found = [one for one, _ in answers]
        bodies = [shown(*one, request.app.state.pictures) for one in answers] if format == "json" else []
        body: dict[str, Any] = {"answers": bodies}
        return answer(format, found, {**body, "seconds": seconds_since(started)})

    return await run_in_threadpool(work)


def _answers(catalog: Catalog, asked: QueryRequest, max_k: int) -> list[tuple[Found, Beside | None]]:
    indices = [catalog.get(name) for name in asked.indices or [""]]
    if len(indices) * len(asked.queries) * asked.k > MOST_HITS:
        raise SpecError(f"All answers together would have more than {MOST_HITS:,} hits; ask for fewer.")
    wanted = Wanted(
        k=asked.k,
        offset=asked.offset,
        threshold=asked.threshold,
        relevant=asked.relevant,
        where=asked.where.strip(),
        unique=asked.unique,
        columns=tuple(asked.columns),
    )
    page = Page(wanted, tuple(asked.facets), max_k, asked.embeddings)
    for index in indices:  # mistakes are found before anything is encoded
        check_page(index, page)
    others = [beside(catalog, index, page, asked.pair, asked.both_weight) for index in indices]
    found = []
    for one in asked.queries:
        for index, other in zip(indices, others, strict=True):
            check_budget()

            def ask(side: ServedIndex, query: QueryTerms = one) -> Asked:
                return asked_for(catalog, side, on_side(query, side) if asked.both_weight else query)

            with catalog.timings("full_knn_request_time"):
                found.append((find_paired(index, other, ask, page), other))
    return found
