"""*Server.* Sheets of small pictures, so that a map asks for 64 of them at once.

They are cut from the sheets that the step made of each tile's first pictures; the originals, of which one may take a
second, are read only for what those do not show.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clip_spark.analysis.map.sheets import SIDE, cell_of, open_sheet
from clip_spark.analysis.map.sprites import CELL, sheet_of
from clip_spark.errors import Rejected
from clip_spark.web.budget import check_budget
from clip_spark.web.catalog import Catalog
from clip_spark.web.errors import NotFound
from clip_spark.web.maps.served_map import Point, ServedMap
from clip_spark.web.picture_of import picture_of
from clip_spark.web.pictures import Media, PictureCache

if TYPE_CHECKING:
    from PIL.Image import Image


def sprite_sheet(
    catalog: Catalog,
    served: ServedMap,
    points: Sequence[Point],
    records: Sequence[dict[str, Any] | None],
    cache: PictureCache,
) -> Media:
    """*Server.* A sheet with the pictures of at most MOST_PICTURES points and their records.

    The cells of records without a picture (None, or one that cannot be read) stay transparent: what cannot be shown
    must not look like something.
    """
    small = [
        None if record is None else _from_step(served, point) or _small(catalog, served, record, cache)
        for point, record in zip(points, records, strict=True)
    ]
    return Media(sheet_of(small), "image/webp")


def _from_step(served: ServedMap, point: Point) -> Image | None:
    """The thumbnail that the step made of a point; None where there is none."""
    tile = served.tiles[point.tile]
    if point.row >= tile.get("thumbnails", 0):
        return None
    number, cell = divmod(point.row, SIDE * SIDE)
    key = f"{point.tile}.{number}"
    sheet = served.sheets.get(key)
    if sheet is None:
        check_budget()
        sheet = open_sheet(served.manifest.uri, tile, number)
        served.sheets.put(key, sheet)
    found: Image | None = cell_of(sheet, cell)
    return found


def _small(catalog: Catalog, served: ServedMap, record: dict[str, Any], cache: PictureCache) -> Image | None:
    from PIL import Image

    check_budget()
    try:
        media = picture_of(catalog, catalog.get(served.homes["image"]), record, CELL, cache)
    except (NotFound, Rejected):
        return None
    small = Image.open(io.BytesIO(media.data)).convert("RGBA")  # we have decoded it before: it is a picture, and small
    return small
