"""*Pure.* Hits and records as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from clip_spark.datasets import schema
from clip_spark.pictures.stored import has_picture, is_web_address
from clip_spark.search.hits import Hit, rounded_chance
from clip_spark.search.plain_values import plain
from clip_spark.web.served import ServedIndex


def hit_json(index: ServedIndex, hit: Hit, columns: Sequence[str] = ()) -> dict[str, Any]:
    """*Pure.* A hit: rank, score, record (some columns of it, or all), and what the page shows of it."""
    shown = record_json(index, hit.record)
    if columns:
        shown["record"] = {name: shown["record"][name] for name in columns}
    known = {} if hit.chance is None else {"chance": rounded_chance(hit.chance)}
    return {"rank": hit.rank, "score": round(hit.score, 6), **known, **shown}


def record_json(index: ServedIndex, record: Mapping[str, Any]) -> dict[str, Any]:
    """*Pure.* A record with its title, the path of its picture and the address of its page, where it has them."""
    row = plain(record)
    uri = str(record.get("uri") or "")
    on_web = is_web_address(uri)
    came_from = uri if on_web else row.get("url")  # download-images keeps the link of what it has fetched
    return {
        "title": title(row),
        "picture": picture_path(index, row) if has_picture(row) or (index.fetches and on_web) else None,
        "link": came_from if isinstance(came_from, str) and is_web_address(came_from) else None,
        "record": row,
    }


def title(record: Mapping[str, Any]) -> str:
    """*Pure.* What to call a record: its text, else its caption, else the name of its file."""
    for key in ("text", "caption"):
        if record.get(key):
            return str(record[key])
    return str(record.get("uri") or "").split("::", 1)[0].rstrip("/").rsplit("/", 1)[-1]


def picture_path(index: ServedIndex, record: Mapping[str, Any]) -> str:
    """*Pure.* Where this server has the picture; relative, so that it works below a proxy's path."""
    return f"picture/{quote(str(record[schema.RECORD_ID]), safe='')}?index={quote(index.name, safe='')}"
