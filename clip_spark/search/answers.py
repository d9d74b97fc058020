"""*Worker.* Hits as a table for a terminal, as JSON lines, as files (.jsonl, .csv, .parquet), and as contact sheets."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import pyarrow as pa

from clip_spark import storage
from clip_spark.datasets.tables import Table
from clip_spark.search.hits import Hits, hit_column
from clip_spark.search.plain_values import csv_bytes, plain
from clip_spark.search.spec import PREFIX

NAMING = ("text", "caption", "uri")
SHOWN = (*NAMING, *(f"{PREFIX}{name}" for name in NAMING), "n", "count")
"""Columns of records that a terminal has room for."""


def hits_table(hits: Hits, wanted: Sequence[str] = ()) -> Table:
    """*Pure.* Hits for a terminal: the wanted columns, or those that people look at; empty ones are left out."""
    columns = [name for name in wanted or SHOWN if any(hit.record.get(name) not in (None, "") for hit in hits)]
    known = any(hit.chance is not None for hit in hits)
    rows = [
        (hit.rank, hit.score, *([f"{hit.chance:.1g}"] if known else []), *(hit.record.get(name) for name in columns))
        for hit in hits
    ]
    return Table(hits.query, ("rank", "score", *(["chance"] if known else []), *map(hit_column, columns)), rows)


def shown(hits: Hits, wanted: Sequence[str] = ()) -> tuple[Table, str]:
    """*Pure.* Hits of a query as a terminal shows them, and as lines of JSON."""
    return hits_table(hits, wanted), json_lines([hits])


def json_lines(answers: Sequence[Hits]) -> str:
    """*Pure.* One line per hit: query, rank, score and the columns of the record that have a value."""
    rows = [
        {name: plain(value) for name, value in row.items() if value is not None}
        for hits in answers
        for row in hits.rows()
    ]
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


def save_answers(uri: str, answers: Sequence[Hits]) -> None:
    """*Worker.* Write hits in the format of the file's ending, which the spec has checked."""
    ending = uri.rsplit(".", 1)[-1]
    if ending == "jsonl":
        data = json_lines(answers).encode()
    else:
        table = pa.concat_tables([hits.to_arrow() for hits in answers], promote_options="permissive")
        data = csv_bytes(table) if ending == "csv" else _parquet_bytes(table)
    storage.write_bytes(uri, data)


def _parquet_bytes(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def save_sheet(uri: str, answers: Sequence[Hits]) -> None:
    """*Worker.* Write a contact sheet in the format of the file's ending, which the spec has checked."""
    from clip_spark.search.contact_sheet import draw_sheet, sheet_page

    data = draw_sheet(answers) if uri.endswith(".png") else sheet_page(answers).encode()
    storage.write_bytes(uri, data)
