"""*Server.* The picture of a record of a served index: from memory, from its file, or from the web where that is on."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from clip_spark.datasets import schema
from clip_spark.errors import Rejected
from clip_spark.pictures.stored import has_picture, is_web_address
from clip_spark.web.budget import check_budget
from clip_spark.web.catalog import Catalog
from clip_spark.web.errors import NotFound
from clip_spark.web.pictures import SIZES, Media, PictureCache, original, read_picture, thumbnail
from clip_spark.web.served import ServedIndex


def picture_of(catalog: Catalog, index: ServedIndex, record: dict[str, Any], size: int, cache: PictureCache) -> Media:
    """*Server.* A record's picture.

    Args:
        catalog: opens web addresses, where this server does.
        index: that the record is of; the cache knows it by name and generation.
        record: with its `uri`, `offset` and `size`.
        size: longest side in pixels; 0 is the original, but not of pictures on the web: what others serve is not
            passed on as it is.
        cache: of small pictures.

    Raises:
        NotFound, Rejected: there is none, or it cannot be decoded.
    """
    on_web = is_web_address(str(record.get("uri") or ""))
    if not on_web or not index.fetches:
        return _stored(index, record, size, cache)
    side = size or SIZES[-1]
    return cache.get(_key(index, record, side), lambda: thumbnail(catalog.fetched(record["uri"]), side))


def inline_thumbnails(
    index: ServedIndex, shown: Sequence[dict[str, Any]], records: Sequence[dict[str, Any]], cache: PictureCache
) -> None:
    """*Server.* Give what is shown of some records its small picture, so that a page waits for nothing more.

    Pictures on the web, and those that cannot be read, are left to the page's own request.
    """
    for one, record in zip(shown, records, strict=False):
        check_budget()
        if has_picture(record):
            one["thumbnail"] = _data_address(index, record, cache)


def _data_address(index: ServedIndex, record: dict[str, Any], cache: PictureCache) -> str | None:
    try:
        media = _stored(index, record, SIZES[0], cache)
    except (NotFound, Rejected):
        return None
    return f"data:{media.type};base64,{base64.b64encode(media.data).decode()}"


def _stored(index: ServedIndex, record: dict[str, Any], size: int, cache: PictureCache) -> Media:
    if not size:
        return original(read_picture(record))
    return cache.get(_key(index, record, size), lambda: thumbnail(read_picture(record), size))


def _key(index: ServedIndex, record: Mapping[str, Any], size: int) -> tuple[Any, ...]:
    return index.name, index.searcher.info.generation, record[schema.RECORD_ID], size
