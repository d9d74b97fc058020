"""*Worker.* Thumbnails of a tile's first pictures, side by side on sheets: one file in place of a thousand.

<map>/tiles/00012.image-3-5-2.0.webp   cells of CELL pixels, SIDE of them in a row; cell i is of row i of the tile
<map>/tiles/00012.image-3-5-2.1.webp   the next SIDE x SIDE rows
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from clip_spark import storage
from clip_spark.analysis.map.sprites import CELL, SMALL, sheet_of
from clip_spark.pictures.stored import has_picture
from clip_spark.runtime.ahead import map_ordered
from clip_spark.search.contact_sheet import thumbnail

log = logging.getLogger(__name__)

SIDE = 32
FIRST, LATER = 4096, 256
"""Pictures of the tile of zoom 0, and of each other one, that get a thumbnail: those that a page shows first."""
THREADS, AHEAD = 8, 64
"""Pictures are mostly waited for."""


def rows_with_thumbnails(zoom: int) -> int:
    """*Pure.* How many rows of a tile get one."""
    return LATER if zoom else FIRST


def draw_sheets(records: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """*Worker.* The sheets of some records as WebP; none if not one picture can be read, or pillow is missing.

    The cell of a picture that cannot be read is transparent; so is what a picture leaves free of its own.
    """
    try:
        import PIL  # noqa: F401
    except ImportError:
        log.info("thumbnails are left out: pillow is missing; pip install pillow brings it.")
        return []
    sheets, found = [], False
    small = map_ordered(_small, records, THREADS, AHEAD)
    while pictures := list(islice(small, SIDE * SIDE)):
        found |= any(picture is not None for picture in pictures)
        sheets.append(sheet_of(pictures, SIDE, SMALL))
    return sheets if found else []


def thumbnails_of(uri: str, tile: Mapping[str, Any]) -> Iterator[Any]:
    """*Worker.* The cells (PIL, RGBA) of the first rows of a tile of the map at `uri`; None for empty ones.

    Args:
        uri: of the map.
        tile: as tiles.json lists it.
    """
    for first in range(0, tile.get("thumbnails", 0), SIDE * SIDE):
        sheet = open_sheet(uri, tile, first // SIDE**2)
        yield from (cell_of(sheet, at) for at in range(min(SIDE * SIDE, tile["thumbnails"] - first)))


def open_sheet(uri: str, tile: Mapping[str, Any], number: int) -> Any:
    """*Worker.* One sheet of a tile (PIL, RGBA)."""
    from PIL import Image

    data = storage.read_bytes(storage.join(uri, f"{tile['file']}.{number}.webp"))
    return Image.open(io.BytesIO(data)).convert("RGBA")


def cell_of(sheet: Any, at: int) -> Any:
    """*Worker.* A cell, CELL pixels wide and high, with its picture in the middle; None for an empty one."""
    left, top = at % SIDE * CELL, at // SIDE * CELL
    cell = sheet.crop((left, top, left + CELL, top + CELL))
    return cell if cell.getchannel("A").getbbox() else None


def trimmed(cell: Any) -> Any:
    """*Worker.* A cell that is not empty without what is transparent around its picture."""
    return cell.crop(cell.getchannel("A").getbbox())


def _small(record: Mapping[str, Any]) -> Any:
    small = thumbnail(record) if has_picture(record) else None
    if small is not None:
        small.thumbnail((CELL, CELL))
    return small
