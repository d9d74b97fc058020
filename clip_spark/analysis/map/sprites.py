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
QUICK, SMALL = 2, 4
"""How long WebP may think: for a sheet that somebody waits for, and for one that is kept."""


def sheet_of(pictures: Sequence[Image | None], across: int = ACROSS, method: int = QUICK) -> bytes:
    """*Pure.* Pictures row by row, so many in each, every one in the middle of its cell, as WebP.

    The cells of pictures that there are not stay transparent: what cannot be shown must not look like something.
    """
    from PIL import Image

    rows = max(-(-len(pictures) // across), 1)
    sheet = Image.new("RGBA", (across * CELL, rows * CELL))
    for at, picture in enumerate(pictures):
        if picture is not None:
            small = picture.copy()
            small.thumbnail((CELL, CELL))
            left, top = at % across * CELL, at // across * CELL
            sheet.paste(small, (left + (CELL - small.width) // 2, top + (CELL - small.height) // 2))
    data = io.BytesIO()
    sheet.save(data, "WEBP", quality=80, method=method)
    return data.getvalue()
