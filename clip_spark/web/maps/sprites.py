"""*Server.* Sheets of small pictures, so that a map asks for 64 of them at once."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clip_spark.analysis.map.sprites import CELL, sheet_of
from clip_spark.errors import Rejected
from clip_spark.web.budget import check_budget
from clip_spark.web.catalog import Catalog
from clip_spark.web.errors import NotFound
from clip_spark.web.picture_of import picture_of
from clip_spark.web.pictures import Media, PictureCache
from clip_spark.web.served import ServedIndex

if TYPE_CHECKING:
    from PIL.Image import Image


def sprite_sheet(
    catalog: Catalog, index: ServedIndex, records: Sequence[dict[str, Any] | None], cache: PictureCache
) -> Media:
    """*Server.* A sheet with the pictures of at most MOST records.

    The cells of records without a picture (None, or one that cannot be read) stay transparent: what cannot be shown
    must not look like something.
    """
    small = [None if record is None else _small(catalog, index, record, cache) for record in records]
    return Media(sheet_of(small), "image/webp")


def _small(catalog: Catalog, index: ServedIndex, record: dict[str, Any], cache: PictureCache) -> Image | None:
    from PIL import Image

    check_budget()
    try:
        media = picture_of(catalog, index, record, CELL, cache)
    except (NotFound, Rejected):
        return None
    small = Image.open(io.BytesIO(media.data)).convert("RGBA")  # we have decoded it before: it is a picture, and small
    return small
