"""*Server.* Our own API, which the page uses too: search by words, a picture or a record; pictures; what is served."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from clip_spark.errors import SpecError
from clip_spark.web.answers import ERRORS, IndexAnswer, SampleAnswer, SearchAnswer
from clip_spark.web.asked import PICTURE_BODY, QueryTerms
from clip_spark.web.bodies import MOST_TEXT
from clip_spark.web.catalog import Catalog
from clip_spark.web.finding import Asked, Page, check_page
from clip_spark.web.formats import answer, wanted_format
from clip_spark.web.pairs import beside, find_paired, on_side, pairs_of, shown
from clip_spark.web.parameters import (
    DEFAULT_K,
    BothWeight,
    Count,
    Format,
    Index,
    Pair,
    Thumbnails,
    Where,
    check_count,
    known_parameters,
    page_wanted,
    seconds_since,
)
from clip_spark.web.picture_of import inline_thumbnails, picture_of
from clip_spark.web.pictures import SIZES
from clip_spark.web.results import record_json
from clip_spark.web.served import ServedIndex
from clip_spark.web.terms import asked_for

PICTURE_HEADERS = {
    "Cache-Control": "private, max-age=3600",
    "Content-Security-Policy": "default-src 'none'",
}

router = APIRouter(responses=ERRORS)
KNOWN = [Depends(known_parameters)]
Wants = Annotated[Page, Depends(page_wanted)]


@router.get("/indices", response_model=list[IndexAnswer], dependencies=KNOWN)
def indices(request: Request) -> JSONResponse:
    """What is served."""
    catalog = _catalog(request)
    state = request.app.state
    same = {"most_hits": state.max_k, "takedowns": state.takedowns, "lines": bool(state.examples)}
    return JSONResponse([{**_index_json(catalog, index), **same} for index in catalog.indices.values()])


def _index_json(catalog: Catalog, index: ServedIndex) -> dict[str, Any]:
    info = index.searcher.info
    rows, model, pairs = index.searcher.rows, info.encoder["model"], pairs_of(catalog, index)
    maps = [name for name, served in catalog.maps.items() if index.name in served.homes.values()]
    return {
        **{"name": index.name, "kind": index.kind, "rows": rows, "dim": info.dim, "model": model},
        **{"pairs": pairs, "maps": maps},
    }


@router.get("/sample", response_model=SampleAnswer, dependencies=KNOWN)
def sample(
    request: Request, k: Count = DEFAULT_K, where: Where = "", thumbnails: Thumbnails = 0, index: Index = None
) -> JSONResponse:
    """Some records, evenly spread over an index, or over those that fulfil a condition."""
    check_count(request.app.state.max_k, k)
    served = _catalog(request).get(index)
    records = served.spread(k, where.strip())
    shown = [record_json(served, record) for record in records]
    inline_thumbnails(served, shown[:thumbnails], records, request.app.state.pictures)
    return JSONResponse({"index": served.name, "kind": served.kind, "records": shown})


@router.get("/search", response_model=SearchAnswer, dependencies=KNOWN)
def search(
    request: Request,
    page: Wants,
    q: Annotated[str | None, Query(max_length=MOST_TEXT, description="words to search for")] = None,
    like: Annotated[str | None, Query(max_length=MOST_TEXT, description="record_id of a record to search for")] = None,
    of: Annotated[
        str | None, Query(max_length=MOST_TEXT, description="index of the `like` record, if it is another one")
    ] = None,
    index: Index = None,
    format: Format = "",
    thumbnails: Thumbnails = 0,
    pair: Pair = "",
    both_weight: BothWeight = 0.0,
) -> Response:
    """Hits for words, or for a record."""
    started, catalog, format = time.perf_counter(), _catalog(request), wanted_format(request)
    served = catalog.get(index)
    if (q is None) == (like is None):
        raise SpecError("Give one of 'q' (words) and 'like' (a record_id); POST a picture to search for that.")
    if q is not None and not q.strip():
        raise SpecError("'q' is empty; give some words to search for.")
    with catalog.timings("full_knn_request_time"):
        check_page(served, page)  # a mistake in it is found here, before anything is encoded
        other = beside(catalog, served, page, pair, both_weight)

        def ask(side: ServedIndex) -> Asked:
            asked = QueryTerms.model_validate({"text": q, "like": like, "of": of})
            return asked_for(catalog, side, on_side(asked, side) if other and other.weight else asked)

        found = find_paired(served, other, ask, page)
        body = shown(found, other, request.app.state.pictures, thumbnails)
        if like is not None:
            home = catalog.get(of) if of else served
            body["query"] = record_json(home, home.record(like))
        return answer(format, [found], {**body, "seconds": seconds_since(started)})


@router.post("/search", response_model=SearchAnswer, openapi_extra=PICTURE_BODY, dependencies=KNOWN)
async def search_picture(
    request: Request,
    page: Wants,
    index: Index = None,
    format: Format = "",
    thumbnails: Thumbnails = 0,
    pair: Pair = "",
    both_weight: BothWeight = 0.0,
) -> Response:
    """Hits for a picture: its file is the body of the request (`curl --data-binary @cat.jpg`)."""
    started, catalog, format = time.perf_counter(), _catalog(request), wanted_format(request)
    served = catalog.get(index)
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise SpecError("Send the picture itself as the body, not a form: `curl --data-binary @cat.jpg`.")
    data = await request.body()

    def work() -> Response:
        with catalog.timings("full_knn_request_time"):
            check_page(served, page)
            other = beside(catalog, served, page, pair, both_weight)
            found = find_paired(
                served, other, lambda side: Asked(side.embed_picture(data), "image", words="(picture)"), page
            )
            body = shown(found, other, request.app.state.pictures, thumbnails)
            return answer(format, [found], {**body, "seconds": seconds_since(started)})

    return await run_in_threadpool(work)


@router.get("/picture/{record_id}", response_class=Response, dependencies=KNOWN)
def picture(
    request: Request,
    record_id: str,
    index: Index = None,
    size: Annotated[int, Query(description="longest side in pixels; 0 gives the original")] = 0,
) -> Response:
    """The picture of a record."""
    if size and size not in SIZES:
        raise SpecError(f"'size' is {size}; it must be 0 (the original) or one of {', '.join(map(str, SIZES))}.")
    served = _catalog(request).get(index)
    record = served.record(record_id)  # not from the cache: it may have been removed since
    media = picture_of(_catalog(request), served, record, size, request.app.state.pictures)
    return Response(media.data, media_type=media.type, headers=PICTURE_HEADERS)


def _catalog(request: Request) -> Catalog:
    return request.app.state.catalog
