"""*Server.* Hits as JSON, JSON lines, CSV or an Arrow stream, as a request asks: `format=`, else its Accept header."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from fastapi import Request, Response

from clip_spark.datasets.arrow_stream import to_stream
from clip_spark.datasets.schema import EMBEDDING
from clip_spark.errors import SpecError
from clip_spark.search.hits import hit_column
from clip_spark.search.plain_values import csv_bytes, plain
from clip_spark.web.bodies import json_response, shown
from clip_spark.web.finding import Found

TYPES = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
}
FIXED = (("query", pa.string()), ("index", pa.string()), ("rank", pa.int32()), ("score", pa.float32()))
"""Columns of a hit before those of its record."""


def wanted_format(request: Request) -> str:
    """*Server.* The format that a request asks for; JSON where it takes anything; raises SpecError for one we lack."""
    given = request.query_params.get("format", "")
    if given:
        if given not in TYPES:
            raise SpecError(f"'format' is {shown(given)}; it must be one of {', '.join(TYPES)}.")
        return given
    accepted = [part.split(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    return next((name for kind in accepted for name, own in TYPES.items() if own == kind), "json")


def answer(format: str, found: Sequence[Found], body: Any) -> Response:
    """*Server.* The response: `body` as JSON, or all hits as rows of a table.

    Raises:
        SpecError: two indices have a column of the same name and of types that no column can hold both of.
    """
    if format == "json":
        return json_response(body)
    if format == "jsonl":
        return Response("".join(map(_line, _rows(found))), media_type=TYPES[format])
    table = hits_table(found)
    data = csv_bytes(table) if format == "csv" else to_stream(table)
    return Response(data, media_type=TYPES[format])


def hits_table(found: Sequence[Found]) -> pa.Table:
    """*Server.* All hits, a row each: query, index, rank, score and the columns that were asked for in their types."""
    try:
        return pa.concat_tables([_one_table(one) for one in found], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SpecError(f"These indices do not fit into one table ({error}); ask for one, or for JSON.") from error


def _one_table(found: Found) -> pa.Table:
    fields = [
        field for field in found.index.searcher.records.schema if not found.columns or field.name in found.columns
    ]
    schema = pa.schema([*FIXED, *(field.with_name(hit_column(field.name)) for field in fields)])
    if found.embeddings:
        schema = schema.append(pa.field(EMBEDDING, pa.list_(pa.float32())))
    rows = [
        {**_head(found, hit), **{hit_column(field.name): hit.record[field.name] for field in fields}, **vector}
        for hit, vector in zip(found.hits, _vectors(found), strict=True)
    ]
    return pa.Table.from_pylist(rows, schema)


def _head(found: Found, hit: Any) -> dict[str, Any]:
    return {"query": found.asked.words, "index": found.index.name, "rank": hit.rank, "score": hit.score}


def _rows(found: Sequence[Found]) -> list[dict[str, Any]]:
    return [
        {
            **_head(one, hit),
            **{
                hit_column(key): plain(value) for key, value in hit.record.items() if key in (one.columns or hit.record)
            },
            **vector,
        }
        for one in found
        for hit, vector in zip(one.hits, _vectors(one), strict=True)
    ]


def _vectors(found: Found) -> list[dict[str, Any]]:
    """What each hit has beside its record: its vector, where it was asked for."""
    return [{EMBEDDING: vector} for vector in found.vectors()] if found.embeddings else [{} for _ in found.hits]


def _line(row: dict[str, Any]) -> str:
    return json.dumps({**row, "score": round(row["score"], 6)}, ensure_ascii=False, allow_nan=False) + "\n"
