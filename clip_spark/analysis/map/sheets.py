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


def cut_sheet(data: bytes) -> Iterator[Any]:
    """*Worker.* The pictures (PIL, RGBA) of a sheet's cells without what is transparent around them; None for none."""
    from PIL import Image

    sheet = Image.open(io.BytesIO(data)).convert("RGBA")
    for row in range(sheet.height // CELL):
        for column in range(SIDE):
            cell = sheet.crop((column * CELL, row * CELL, (column + 1) * CELL, (row + 1) * CELL))
            box = cell.getchannel("A").getbbox()
            yield cell.crop(box) if box else None


def _small(record: Mapping[str, Any]) -> Any:
    small = thumbnail(record) if has_picture(record) else None
    if small is not None:
        small.thumbnail((CELL, CELL))
    return small
