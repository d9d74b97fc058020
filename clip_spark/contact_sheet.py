"""*Worker.* Pieces of HTML pages that stand alone: the frame, and pictures as thumbnails inside it."""

from __future__ import annotations

import base64
import html
import io
import logging

from clip_spark import storage

log = logging.getLogger(__name__)

THUMBNAIL = 160
"""Pixels of the longer side."""

PAGE = """<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>{title}</title><style>
body{{font:15px/1.4 system-ui,sans-serif;margin:2rem;color:#222;background:#fff}}
.grid{{display:flex;flex-wrap:wrap;gap:12px}} figure{{margin:0;width:170px}} img{{max-width:160px;border-radius:4px}}
figcaption{{font-size:13px;overflow-wrap:anywhere}}
table{{border-collapse:collapse}} td,th{{padding:3px 10px;text-align:left}}
tr:nth-child(even){{background:#f4f4f4}} .bar{{background:#4a7ebb;height:10px}} h2{{margin-top:2rem}}
@media(prefers-color-scheme:dark){{body{{background:#161616;color:#ddd}}tr:nth-child(even){{background:#222}}}}
</style><h1>{title}</h1>{body}</html>
"""


def picture_tag(uri: str) -> str:
    """*Worker.* An <img> that holds a thumbnail; the name alone where the picture cannot be read."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(storage.read_bytes(uri))) as picture:
            small = picture.convert("RGBA")
            small.thumbnail((THUMBNAIL, THUMBNAIL))
            data = io.BytesIO()
            small.save(data, "PNG")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        log.warning("no thumbnail of '%s': %s", uri, error)
        return f"<i>{html.escape(storage.name(uri))}</i>"
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}">'
