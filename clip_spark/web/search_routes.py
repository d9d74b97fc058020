"""*Server.* Our own API, which the page uses too: search by words, a picture or a record; pictures; what is served."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from clip_spark.errors import SpecError
from clip_spark.pictures.stored import is_web_address
from clip_spark.web.bodies import MOST_TEXT
from clip_spark.web.catalog import Catalog
from clip_spark.web.finding import Asked, Page, check_page, find
from clip_spark.web.formats import answer, wanted_format
from clip_spark.web.models import ERRORS, PICTURE_BODY, IndexAnswer, SampleAnswer, SearchAnswer
from clip_spark.web.parameters import (
    DEFAULT_K,
    Count,
    Format,
    Index,
    Where,
    check_count,
    known_parameters,
    page_wanted,
    seconds_since,
)
from clip_spark.web.pictures import SIZES, Media, PictureCache, original, read_picture, thumbnail
from clip_spark.web.results import record_json
from clip_spark.web.served import ServedIndex

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
    return JSONResponse([_index_json(index) for index in _catalog(request).indices.values()])


def _index_json(index: ServedIndex) -> dict[str, Any]:
    info = index.searcher.info
    return {"name": index.name, "kind": index.kind, "rows": index.rows, "dim": info.dim, "model": info.encoder["model"]}


@router.get("/sample", response_model=SampleAnswer, dependencies=KNOWN)
def sample(request: Request, k: Count = DEFAULT_K, where: Where = "", index: Index = None) -> JSONResponse:
    """Some records, evenly spread over an index, or over those that fulfil a condition."""
    check_count(request.app.state.max_k, k)
    served = _catalog(request).get(index)
    records = [record_json(served, record) for record in served.spread(k, where.strip())]
    return JSONResponse({"index": served.name, "kind": served.kind, "records": records})


@router.get("/search", response_model=SearchAnswer, dependencies=KNOWN)
def search(
    request: Request,
    page: Wants,
    q: Annotated[str | None, Query(max_length=MOST_TEXT, description="words to search for")] = None,
    like: Annotated[str | None, Query(description="record_id of a record to search for")] = None,
    of: Annotated[str | None, Query(description="index of the `like` record, if it is another one")] = None,
    index: Index = None,
    format: Format = "",
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
        if like is None:
            found = find(served, Asked(served.embed_text(str(q)), "text", words=str(q)), page)
            return answer(format, [found], {**found.to_json(), "seconds": seconds_since(started)})
        home = catalog.get(of) if of else served
        vector, own = catalog.embedding_of(like, home, served)
        found = find(served, Asked(vector, home.kind, own, like), page)
        query = record_json(home, home.record(like))
        return answer(format, [found], {**found.to_json(), "query": query, "seconds": seconds_since(started)})


@router.post("/search", response_model=SearchAnswer, openapi_extra=PICTURE_BODY, dependencies=KNOWN)
async def search_picture(request: Request, page: Wants, index: Index = None, format: Format = "") -> Response:
    """Hits for a picture: its file is the body of the request (`curl --data-binary @cat.jpg`)."""
    started, catalog, format = time.perf_counter(), _catalog(request), wanted_format(request)
    served = catalog.get(index)
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise SpecError("Send the picture itself as the body, not a form: `curl --data-binary @cat.jpg`.")
    data = await request.body()

    def work() -> Response:
        with catalog.timings("full_knn_request_time"):
            check_page(served, page)
            found = find(served, Asked(served.embed_picture(data), "image", words="(picture)"), page)
            return answer(format, [found], {**found.to_json(), "seconds": seconds_since(started)})

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
    cache: PictureCache = request.app.state.pictures

    record = served.record(record_id)  # not from the cache: it may have been removed since

    on_web = is_web_address(str(record.get("uri") or ""))

    def make() -> Media:
        data = _catalog(request).fetched(record["uri"]) if on_web and served.fetches else read_picture(record)
        return thumbnail(data, size) if size else original(data)

    if on_web and not size:
        size = SIZES[-1]  # what others serve is not passed on as it is
    media = cache.get((served.name, served.searcher.info.generation, record_id, size), make) if size else make()
    return Response(media.data, media_type=media.type, headers=PICTURE_HEADERS)


def _catalog(request: Request) -> Catalog:
    return request.app.state.catalog
