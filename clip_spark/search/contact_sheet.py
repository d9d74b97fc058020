"""*Worker.* Contact sheets: pieces of HTML pages that stand alone, and sheets drawn as one PNG."""

from __future__ import annotations

import base64
import html
import io
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from clip_spark import storage
from clip_spark.errors import InputError, Rejected
from clip_spark.pictures.decode import open_picture
from clip_spark.pictures.stored import is_web_address, read_picture
from clip_spark.search.hits import Hit, Hits

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
PIECE = """.clip-spark .grid{display:flex;flex-wrap:wrap;gap:12px;margin-top:6px}
.clip-spark figure{margin:0;width:170px} .clip-spark img{max-width:160px;max-height:160px;border-radius:4px}
.clip-spark figcaption{font-size:13px;overflow-wrap:anywhere}"""
"""The style of hits inside a page that is not ours, such as a notebook."""


def sheet_page(answers: Sequence[Hits], title: str = "clip-spark search") -> str:
    """*Worker.* One HTML page with the hits of all queries; pictures are inside it as thumbnails."""
    sections = [f"<section><h2>{html.escape(hits.query)}</h2>{hits_grid(hits)}</section>" for hits in answers]
    return PAGE.format(title=html.escape(title), body="".join(sections))


def hits_section(hits: Hits) -> str:
    """*Worker.* The hits of one query as a piece of HTML with its own style, for a page that is not ours."""
    return (
        f"<section class=clip-spark><style>{PIECE}</style><b>{html.escape(hits.query)}</b>{hits_grid(hits)}</section>"
    )


def hits_grid(hits: Hits) -> str:
    """*Worker.* The hits side by side, with thumbnails inside."""
    return f"<div class=grid>{''.join(map(_figure, hits))}</div>"


def _figure(hit: Hit) -> str:
    picture = picture_tag(hit.record) if hit.record.get("uri") else ""
    return f"<figure>{picture}<figcaption>{html.escape(_caption(hit))} <b>{hit.score:.3f}</b></figcaption></figure>"


def _caption(hit: Hit) -> str:
    text = hit.record.get("text") or hit.record.get("caption") or file_name(hit.record)
    return f"{hit.rank}. {text}"


def file_name(record: Mapping[str, Any]) -> str:
    """*Pure.* The name of the file, or of the member of a tar, that holds a record's picture."""
    return storage.name(str(record.get("uri") or "").split("::", 1)[0])


def small_picture(data: bytes) -> Any:
    """*Worker.* A small RGBA picture (PIL) of a file's bytes; raises Rejected where they are none."""
    small = open_picture(data).convert("RGBA")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return small


def thumbnail(record: Mapping[str, Any]) -> Any:
    """*Worker.* A small RGBA picture (PIL) of a record, or None where it cannot be read."""
    try:
        return small_picture(read_picture(record))
    except (InputError, Rejected, OSError, ValueError) as error:
        log.warning("no thumbnail of '%s': %s", record.get("uri"), error)
        return None


def picture_tag(record: Mapping[str, Any]) -> str:
    """*Worker.* An <img> with a thumbnail inside; the name alone where the picture cannot be read.

    Pictures at a web address are left to the browser.
    """
    uri = str(record.get("uri") or "")
    if is_web_address(uri):
        return f'<img alt="" loading=lazy referrerpolicy=no-referrer src="{html.escape(uri)}">'
    small = thumbnail(record)
    if small is None:
        return f"<i>{html.escape(file_name(record))}</i>"
    return inline_tag(small)


def inline_tag(small: Any) -> str:
    """*Worker.* An <img> with a picture (PIL) inside."""
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(_png(small)).decode()}">'


def draw_sheet(answers: Sequence[Hits]) -> bytes:
    """*Worker.* A PNG with the hits of each query below its text."""
    from PIL import Image, ImageDraw, ImageFont

    records = {hit.record["uri"]: hit.record for hits in answers for hit in hits if hit.record.get("uri")}
    pictures = {uri: thumbnail(record) for uri, record in records.items()}
    tall = max([picture.height for picture in pictures.values() if picture is not None], default=0)
    step_x, step_y = THUMBNAIL + MARGIN, tall + 2 * LINE + MARGIN
    heights = [TITLE + step_y * -(-len(hits) // COLUMNS) for hits in answers]
    sheet = Image.new("RGB", (COLUMNS * step_x + MARGIN, sum(heights) + MARGIN), "white")
    draw, small, big = ImageDraw.Draw(sheet), ImageFont.load_default(12), ImageFont.load_default(18)
    top = MARGIN
    for hits, height in zip(answers, heights, strict=True):
        draw.text((MARGIN, top), hits.query, "black", big)
        for number, hit in enumerate(hits):
            left, upper = MARGIN + number % COLUMNS * step_x, top + TITLE + number // COLUMNS * step_y
            picture = pictures.get(hit.record.get("uri"))
            if picture is not None:
                sheet.paste(picture, (left, upper + tall - picture.height), picture)
            for line, text in enumerate(
                _lines(f"{_caption(hit)} ({hit.score:.3f})", lambda text: small.getlength(text))
            ):
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
