"""*Server.* Our own API, which the page uses too: search by words, a picture or a record; pictures; what is served."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from clip_spark.errors import SpecError, nearest
from clip_spark.index.open.parts import MISSING
from clip_spark.search.hits import Wanted
from clip_spark.web.bodies import MOST_TEXT, shown
from clip_spark.web.catalog import Catalog
from clip_spark.web.models import ERRORS, PICTURE_BODY, IndexAnswer, SampleAnswer, SearchAnswer
from clip_spark.web.pictures import SIZES, Media, PictureCache, original, read_picture, thumbnail
from clip_spark.web.results import hit_json, record_json
from clip_spark.web.served import ServedIndex

DEFAULT_K = 40
PICTURE_HEADERS = {
    "Cache-Control": "private, max-age=3600",
    "Content-Security-Policy": "default-src 'none'",
}

router = APIRouter(responses=ERRORS)
Index = Annotated[str | None, Query(description="name of the index; the first one if it is left out")]
Where = Annotated[str, Query(max_length=MOST_TEXT, description="condition on the columns of the records")]
Count = Annotated[int, Query(ge=1, description="hits")]


async def known_parameters(request: Request) -> None:
    """*Server.* Raise SpecError for a parameter that the route does not have: a typing error must not change hits."""
    path = request.app.openapi()["paths"][request.scope["route"].path][request.method.lower()]
    known = [one["name"] for one in path.get("parameters", ()) if one["in"] == "query"]
    for name in request.query_params:
        if name not in known:
            raise SpecError(
                f"There is no parameter {shown(name)} here.{nearest(name, known)} There are {', '.join(known)}."
            )


async def page_wanted(
    request: Request,
    k: Count = DEFAULT_K,
    offset: Annotated[int, Query(ge=0, description="hits to leave out at the beginning")] = 0,
    threshold: Annotated[
        float, Query(ge=-2, le=2, allow_inf_nan=False, description="least score (cosine) of a hit")
    ] = -2.0,
    where: Where = "",
    unique: Annotated[
        float,
        Query(ge=0, le=1, allow_inf_nan=False, description="drop hits whose cosine with a better one is at least this"),
    ] = 0.0,
) -> Wanted:
    """*Server.* The hits that a request wants; raises SpecError if they are too many."""
    check_count(request, k + offset)
    return Wanted(k=k, offset=offset, threshold=threshold, where=where.strip(), unique=unique)


def check_count(request: Request, last: int) -> None:
    """*Server.* Raise SpecError if more hits are asked for than this server gives."""
    most = request.app.state.max_k
    if last > most:
        raise SpecError(f"Hit number {shown(last)} is asked for; this server gives at most {most:,} (--max-k).")


KNOWN = [Depends(known_parameters)]
Page = Annotated[Wanted, Depends(page_wanted)]


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
    check_count(request, k)
    served = _catalog(request).get(index)
    records = [record_json(served, record) for record in served.spread(k, where.strip())]
    return JSONResponse({"index": served.name, "kind": served.kind, "records": records})


@router.get("/search", response_model=SearchAnswer, dependencies=KNOWN)
def search(
    request: Request,
    page: Page,
    q: Annotated[str | None, Query(max_length=MOST_TEXT, description="words to search for")] = None,
    like: Annotated[str | None, Query(description="record_id of a record to search for")] = None,
    of: Annotated[str | None, Query(description="index of the `like` record, if it is another one")] = None,
    index: Index = None,
) -> JSONResponse:
    """Hits for words, or for a record."""
    started, catalog = time.perf_counter(), _catalog(request)
    served = catalog.get(index)
    if (q is None) == (like is None):
        raise SpecError("Give one of 'q' (words) and 'like' (a record_id); POST a picture to search for that.")
    if q is not None and not q.strip():
        raise SpecError("'q' is empty; give some words to search for.")
    with catalog.timings("full_knn_request_time"):
        served.allowed(page.where)  # a mistake in it is found here, before anything is encoded
        if like is None:
            answer = _answer(request, served, Asked(served.embed_text(str(q)), "text"), page)
            return JSONResponse({**answer, "seconds": seconds_since(started)})
        home = catalog.get(of) if of else served
        vector, own = catalog.embedding_of(like, home, served)
        answer = _answer(request, served, Asked(vector, home.kind, own), page)
        query = record_json(home, home.record(like))
        return JSONResponse({**answer, "query": query, "seconds": seconds_since(started)})


@router.post("/search", response_model=SearchAnswer, openapi_extra=PICTURE_BODY, dependencies=KNOWN)
async def search_picture(request: Request, page: Page, index: Index = None) -> JSONResponse:
    """Hits for a picture: its file is the body of the request (`curl --data-binary @cat.jpg`)."""
    started, catalog = time.perf_counter(), _catalog(request)
    served = catalog.get(index)
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise SpecError("Send the picture itself as the body, not a form: `curl --data-binary @cat.jpg`.")
    data = await request.body()

    def work() -> JSONResponse:
        with catalog.timings("full_knn_request_time"):
            served.allowed(page.where)
            answer = _answer(request, served, Asked(served.embed_picture(data), "image"), page)
            return JSONResponse({**answer, "seconds": seconds_since(started)})

    return await run_in_threadpool(work)


class Asked(NamedTuple):
    """A query: its vector, float32 (d,), its kind, and its own position if it is a record of the index."""

    vector: np.ndarray
    kind: str
    own: int = MISSING


def _answer(request: Request, served: ServedIndex, asked: Asked, page: Wanted) -> dict[str, Any]:
    wider = replace(page, k=page.k + 1)  # one more, to know whether there are more
    found = served.nearest(asked.vector, wider, asked.own)
    hits = [hit_json(served, hit) for hit in found[: page.k]]
    return {
        "index": served.name,
        "kind": served.kind,
        "hits": hits,
        "more": len(found) > page.k and page.offset + 2 * page.k <= request.app.state.max_k,
        "recall_expected": served.recall_expected(wider, asked.kind),
        "query_kind": asked.kind,
    }


def seconds_since(started: float) -> float:
    """*Server.* Seconds from a reading of `time.perf_counter` to now, to a tenth of a millisecond."""
    return round(time.perf_counter() - started, 4)


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

    def make() -> Media:
        data = read_picture(record)
        return thumbnail(data, size) if size else original(data)

    media = cache.get((served.name, served.searcher.info.generation, record_id, size), make) if size else make()
    return Response(media.data, media_type=media.type, headers=PICTURE_HEADERS)


def _catalog(request: Request) -> Catalog:
    return request.app.state.catalog
