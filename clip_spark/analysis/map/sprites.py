"""*Worker.* Sheets of small pictures: a map that shows hundreds of them asks for a few sheets."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

CELL, ACROSS = 64, 8
"""Pixels of a picture's longer side, and pictures in a row."""
MOST_PICTURES = ACROSS * ACROSS


def sheet_of(pictures: Sequence[Image | None]) -> bytes:
    """*Pure.* At most MOST_PICTURES pictures row by row, each in the middle of its cell, as WebP.

    The cells of pictures that there are not stay transparent: what cannot be shown must not look like something.
    """
    from PIL import Image

    rows = max(-(-len(pictures) // ACROSS), 1)
    sheet = Image.new("RGBA", (ACROSS * CELL, rows * CELL))
    for at, picture in enumerate(pictures):
        if picture is not None:
            small = picture.copy()
            small.thumbnail((CELL, CELL))
            left, top = at % ACROSS * CELL, at // ACROSS * CELL
            sheet.paste(small, (left + (CELL - small.width) // 2, top + (CELL - small.height) // 2))
    data = io.BytesIO()
    sheet.save(data, "WEBP", quality=80, method=2)
    return data.getvalue()
