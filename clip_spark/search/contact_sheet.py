"""*Worker.* Contact sheets: pieces of HTML pages that stand alone, and sheets drawn as one PNG."""

from __future__ import annotations

import base64
import html
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clip_spark import storage

log = logging.getLogger(__name__)

THUMBNAIL = 160
"""Pixels of the longer side."""
MARGIN, LINE, TITLE, COLUMNS = 12, 16, 34, 6
"""Of a drawn sheet: pixels around a cell, of a line of text and of a query; cells side by side."""

PAGE = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>{title}</title><style>
body{{font:15px/1.4 system-ui,sans-serif;margin:2rem;color:#222;background:#fff}}
.grid{{display:flex;flex-wrap:wrap;gap:12px}} figure{{margin:0;width:170px}} img{{max-width:160px;border-radius:4px}}
figcaption{{font-size:13px;overflow-wrap:anywhere}} td img{{max-height:72px;margin-right:6px;vertical-align:middle}}
table{{border-collapse:collapse}} td,th{{padding:3px 10px;text-align:left}} svg{{vertical-align:middle}}
tr:nth-child(even){{background:#f4f4f4}} rect{{fill:#4a7ebb}} h2{{margin-top:2rem}} .n{{text-align:right}}
@media(prefers-color-scheme:dark){{body{{background:#161616;color:#ddd}}tr:nth-child(even){{background:#222}}}}
</style><h1>{title}</h1>{body}</html>
"""


@dataclass(frozen=True)
class Cell:
    """One picture of a drawn sheet; an empty `uri` is a cell of text alone."""

    uri: str
    caption: str


def thumbnail(uri: str) -> Any:
    """*Worker.* A small RGBA picture (PIL), or None where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(storage.read_bytes(uri))) as picture:
            small = picture.convert("RGBA")
            small.thumbnail((THUMBNAIL, THUMBNAIL))
            return small
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        log.warning("no thumbnail of '%s': %s", uri, error)
        return None


def picture_tag(uri: str) -> str:
    """*Worker.* An <img> that holds a thumbnail; the name alone where the picture cannot be read."""
    small = thumbnail(uri)
    if small is None:
        return f"<i>{html.escape(storage.name(uri))}</i>"
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(_png(small)).decode()}">'


def draw_sheet(sections: Sequence[tuple[str, Sequence[Cell]]]) -> bytes:
    """*Worker.* A PNG with the cells of each query below its text."""
    from PIL import Image, ImageDraw, ImageFont

    pictures = {cell.uri: thumbnail(cell.uri) for _, cells in sections for cell in cells if cell.uri}
    tall = max([picture.height for picture in pictures.values() if picture is not None], default=0)
    step_x, step_y = THUMBNAIL + MARGIN, tall + 2 * LINE + MARGIN
    heights = [TITLE + step_y * -(-len(cells) // COLUMNS) for _, cells in sections]
    sheet = Image.new("RGB", (COLUMNS * step_x + MARGIN, sum(heights) + MARGIN), "white")
    draw, small, big = ImageDraw.Draw(sheet), ImageFont.load_default(12), ImageFont.load_default(18)
    top = MARGIN
    for (title, cells), height in zip(sections, heights, strict=True):
        draw.text((MARGIN, top), title, "black", big)
        for number, cell in enumerate(cells):
            left, upper = MARGIN + number % COLUMNS * step_x, top + TITLE + number // COLUMNS * step_y
            picture = pictures.get(cell.uri)
            if picture is not None:
                sheet.paste(picture, (left, upper + tall - picture.height), picture)
            for line, text in enumerate(_lines(cell.caption, lambda text: small.getlength(text))):
                draw.text((left, upper + tall + line * LINE), text, "black", small)
        top += height
    return _png(sheet)


def _lines(text: str, width: Any) -> list[str]:
    """*Pure.* At most two lines that fit under a thumbnail; what is left over is cut."""
    first, second = "", ""
    for word in text.split():
        if not second and width(f"{first} {word}") <= THUMBNAIL:
            first = f"{first} {word}".strip()
        else:
            second = f"{second} {word}".strip()
    while width(second) > THUMBNAIL:
        second = second[:-2] + "…"
    return [line for line in (first, second) if line]


def _png(picture: Any) -> bytes:
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()
