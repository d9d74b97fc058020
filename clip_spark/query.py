"""*Worker.* The search command: a spec in, hits out, and how they are shown. No Spark."""

from __future__ import annotations

from typing import Any

from clip_spark import storage
from clip_spark.errors import InputError
from clip_spark.report import Table
from clip_spark.search import Hit, Searcher
from clip_spark.specs.search import SearchSpec

SHOWN = ("text", "caption", "uri", "n", "count")
"""Columns of records that a terminal has room for."""


def run_query(spec: SearchSpec) -> list[Hit]:
    """*Worker.* Open the index and answer one query."""
    searcher = Searcher.open(spec.index)
    if spec.text:
        return searcher.search_text(spec.text, spec.k)
    if spec.image:
        return searcher.search_image(read_picture(spec.image), spec.k)
    return searcher.search_like(spec.like, spec.k)


def read_picture(uri: str) -> bytes:
    """*Worker.* The bytes of a picture; raises InputError when it is not there."""
    try:
        return storage.read_bytes(uri)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"The picture '{uri}' does not exist.") from error


def hit_json(hit: Hit) -> dict[str, Any]:
    """*Pure.* A hit as one JSON object: rank, score and the columns of the record that have a value."""
    record = {name: value for name, value in hit.record.items() if value is not None}
    return {"rank": hit.rank, "score": round(hit.score, 6), **record}


def hits_table(spec: SearchSpec, hits: list[Hit]) -> Table:
    """*Pure.* Hits for a terminal; columns without any value are left out."""
    columns = [name for name in SHOWN if any(hit.record.get(name) not in (None, "") for hit in hits)]
    rows = [(hit.rank, hit.score, *(hit.record.get(name) for name in columns)) for hit in hits]
    return Table(spec.text or spec.image or f"like {spec.like}", ("rank", "score", *columns), rows)
