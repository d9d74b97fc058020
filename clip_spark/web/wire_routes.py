"""*Server.* clip-retrieval's wire format, so that its ClipClient, its front and fondant can use this server.

Keys of their safety, violence, aesthetic and multilingual models are accepted and change nothing, as on a
clip-retrieval server that has not loaded these models. An id is a position. Bodies are JSON whatever their type says.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from clip_spark.errors import Rejected, SpecError
from clip_spark.pictures.stored import is_web_address
from clip_spark.search.hits import Hit, Wanted
from clip_spark.search.plain_values import plain
from clip_spark.web.answers import ERRORS, MetadataAnswer
from clip_spark.web.asked import KnnRequest, MetadataRequest, body_of
from clip_spark.web.bodies import json_object, rows_response, shown
from clip_spark.web.budget import check_budget
from clip_spark.web.catalog import Catalog
from clip_spark.web.errors import NotFound
from clip_spark.web.finding import MOST_EMBEDDINGS
from clip_spark.web.pictures import jpeg, read_picture
from clip_spark.web.served import ServedIndex
from clip_spark.web.terms import from_base64, unit

SAME_PICTURE = 0.94
"""Cosine from which on clip-retrieval's `deduplicate` takes two pictures for one."""
SMALL_BODY = 64 << 10
"""Bytes; JSON so short is read in a fraction of a millisecond."""
JPEG_SIDE = 512
"""Pixels. clip-retrieval sends originals in base64; forty of them make a reply of a hundred megabytes."""

router = APIRouter(responses=ERRORS)


@router.get("/indices-list", response_model=list[str])
def indices_list(request: Request) -> JSONResponse:
    """Names of the indices; the first is the default."""
    return JSONResponse(_catalog(request).names)


@router.post("/knn-service", response_model=list[dict[str, Any]], openapi_extra=body_of(KnnRequest))
async def knn_service(request: Request) -> Response:
    """Hits as a list, best first: the first `num_images` with their columns, the others with id and similarity."""
    catalog, max_k = _catalog(request), request.app.state.max_k
    body = await _body(request)
    with_columns = _count(body, "num_images", None, max_k)
    total = max(with_columns, _count(body, "num_result_ids", with_columns, max_k))
    index = _index(catalog, body)
    with catalog.timings("full_knn_request_time"):
        wanted = Wanted(k=total, unique=SAME_PICTURE if body.get("deduplicate") else 0.0)
        vector, kind = await _query(catalog, index, body)
        found = await index.nearest_soon(vector, wanted, with_columns, kind)
        if body.get("embeddings") is True:
            return await run_in_threadpool(_hits_response, found, with_columns, index)
        if any("uri" in hit.record for hit in found[:with_columns]):  # a picture to open
            return await run_in_threadpool(_hits_response, found, with_columns)
        return _hits_response(found, with_columns)


@router.post("/metadata", response_model=list[MetadataAnswer], openapi_extra=body_of(MetadataRequest))
async def metadata(request: Request) -> Response:
    """Columns of the records with the given ids."""
    data, catalog, max_k = await request.body(), _catalog(request), request.app.state.max_k
    return await run_in_threadpool(lambda: rows_response(_metadata(catalog, json_object(data), max_k)))


async def _body(request: Request) -> dict[str, Any]:
    """A large body, such as a picture's, is read in a thread: Python's lock is held by one that reads JSON."""
    data = await request.body()
    return json_object(data) if len(data) <= SMALL_BODY else await run_in_threadpool(json_object, data)


def _hits_response(found: Sequence[Hit], with_columns: int, vectors: ServedIndex | None = None) -> Response:
    """Hits as they are sent; with the `vectors` of those that have columns, where an index is given for them."""
    rows = [
        {**(_columns(hit.record) if place < with_columns else {}), "id": hit.position, "similarity": hit.score}
        for place, hit in enumerate(found)
    ]
    if vectors is not None:
        for row, vector in zip(rows, vectors.vectors(found[: min(with_columns, MOST_EMBEDDINGS)]), strict=False):
            row["embedding"] = vector
    return rows_response(rows)


def _metadata(catalog: Catalog, body: dict[str, Any], max_k: int) -> list[dict[str, Any]]:
    ids = body.get("ids")
    if not isinstance(ids, list) or not all(type(number) is int for number in ids):
        raise SpecError("'ids' must be a list of whole numbers.")
    if len(ids) > max_k:
        raise SpecError(f"'ids' has {len(ids):,} entries; at most {max_k:,} are answered (--max-k).")
    index = catalog.get(_text(body, "indice_name"))
    different = list(dict.fromkeys(ids))
    columns = dict(zip(different, map(_columns, index.records(different)), strict=True))
    return [{"id": number, "metadata": columns[number]} for number in ids]


def _index(catalog: Catalog, body: dict[str, Any]) -> ServedIndex:
    modality, name = _text(body, "modality"), _text(body, "indice_name")
    if modality not in ("image", "text"):
        raise SpecError(f"'modality' is {shown(modality)}; it must be 'image' or 'text': the kind of index to search.")
    index = catalog.get(name) if name else catalog.first_of(modality)
    if index.kind != modality:
        raise SpecError(f"Index '{index.name}' holds {index.kind}s; ask for it with 'modality': '{index.kind}'.")
    return index


async def _query(catalog: Catalog, index: ServedIndex, body: dict[str, Any]) -> tuple[np.ndarray, str]:
    """The query and its kind, in clip-retrieval's precedence: text, picture, address of a picture, embedding."""
    if text := _text(body, "text"):
        return await index.embed_text_soon(text), "text"
    if image := _text(body, "image"):
        return await run_in_threadpool(lambda: index.embed_picture(from_base64(image))), "image"
    if address := _text(body, "image_url"):
        return await run_in_threadpool(lambda: index.embed_picture(catalog.fetched(address))), "image"
    if body.get("embedding_input") is not None:
        return unit(body["embedding_input"], index.searcher.info.dim, "embedding_input"), ""
    raise SpecError("There is no query; give 'text', 'image' or 'embedding_input'.")


def _columns(record: dict[str, Any]) -> dict[str, Any]:
    """A record under clip-retrieval's names, its own columns beside them."""
    check_budget()
    uri = str(record.get("uri") or "")
    row = plain(record)
    row["caption"] = record.get("caption") or record.get("text")
    if not uri:
        return row
    if is_web_address(uri):
        return {**row, "url": uri}
    try:
        return {**row, "image_path": uri, "image": base64.b64encode(jpeg(read_picture(record), JPEG_SIDE)).decode()}
    except (NotFound, Rejected):
        return {**row, "image_path": uri}  # a hit whose picture is gone is still a hit


def _count(body: dict[str, Any], key: str, default: int | None, most: int) -> int:
    value = body.get(key, default)
    if type(value) is not int or value < 0:
        raise SpecError(f"'{key}' is {shown(value)}; it must be a whole number.")
    if value > most:
        raise SpecError(f"'{key}' is {shown(value)}; this server gives at most {most:,} hits (--max-k).")
    return value


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise SpecError(f"'{key}' is {shown(value)}; it must be text.")
    return value or ""


def _catalog(request: Request) -> Catalog:
    return request.app.state.catalog


PLAIN = {("POST", "/knn-service"): knn_service, ("POST", "/metadata"): metadata}
"""Routes that take nothing but the request (see shortcut.py)."""
