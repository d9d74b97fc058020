"""*Worker.* Hits as a table for a terminal, as JSON lines, as files (.jsonl, .csv, .parquet), and as contact sheets."""

from __future__ import annotations

import html
import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.tables import Table
from clip_spark.search.command import Answer
from clip_spark.search.contact_sheet import PAGE, Cell, draw_sheet, picture_tag
from clip_spark.search.searcher import Hit, hit_column

SHOWN = ("text", "caption", "uri", "n", "count")
"""Columns of records that a terminal has room for."""


def answer_table(answer: Answer, wanted: Sequence[str] = ()) -> Table:
    """*Pure.* Hits for a terminal: the wanted columns, or those that people look at; empty ones are left out."""
    query, hits = answer
    columns = [name for name in wanted or SHOWN if any(hit.record.get(name) not in (None, "") for hit in hits)]
    rows = [(hit.rank, hit.score, *(hit.record.get(name) for name in columns)) for hit in hits]
    return Table(query, ("rank", "score", *map(hit_column, columns)), rows)


def hit_json(query: str, hit: Hit) -> dict[str, Any]:
    """*Pure.* A hit as one JSON object: query, rank, score and the columns of the record that have a value."""
    return {name: value for name, value in hit_row(query, hit).items() if value is not None}


def hit_row(query: str, hit: Hit) -> dict[str, Any]:
    """*Pure.* A hit as one row: query, rank, score and all columns of the record."""
    record = {hit_column(name): value for name, value in hit.record.items()}
    return {"query": query, "rank": hit.rank, "score": round(hit.score, 6), **record}


def json_lines(answers: Sequence[Answer]) -> str:
    """*Pure.* One line per hit."""
    rows = [hit_json(query, hit) for query, hits in answers for hit in hits]
    return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)


def save_answers(uri: str, answers: Sequence[Answer]) -> None:
    """*Worker.* Write hits in the format of the file's ending, which the spec has checked."""
    ending = uri.rsplit(".", 1)[-1]
    if ending == "jsonl":
        data = json_lines(answers).encode()
    else:
        rows = [hit_row(query, hit) for query, hits in answers for hit in hits]
        data = _table_bytes(pa.Table.from_pylist(rows), ending)
    storage.write_bytes(uri, data)


def _table_bytes(table: pa.Table, ending: str) -> bytes:
    sink = io.BytesIO()
    if ending == "csv":
        flat = [name for name in table.column_names if not pa.types.is_nested(table.schema.field(name).type)]
        pyarrow.csv.write_csv(table.select(flat), sink)
    else:
        pq.write_table(table, sink)
    return sink.getvalue()


def save_sheet(uri: str, answers: Sequence[Answer]) -> None:
    """*Worker.* Write a contact sheet in the format of the file's ending, which the spec has checked."""
    if uri.endswith(".png"):
        cells = [(query, [_drawn(hit) for hit in hits]) for query, hits in answers]
        storage.write_bytes(uri, draw_sheet(cells))
    else:
        storage.write_bytes(uri, sheet_page(answers).encode())


def sheet_page(answers: Sequence[Answer]) -> str:
    """*Worker.* One HTML page with the hits of all queries; pictures are inside it as thumbnails."""
    sections = []
    for query, hits in answers:
        cells = "".join(_cell(hit) for hit in hits)
        sections.append(f"<section><h2>{html.escape(query)}</h2><div class=grid>{cells}</div></section>")
    return PAGE.format(title="clip-spark search", body="".join(sections))


def _cell(hit: Hit) -> str:
    picture = picture_tag(str(hit.record["uri"])) if hit.record.get("uri") else ""
    return f"<figure>{picture}<figcaption>{html.escape(_caption(hit))} <b>{hit.score:.3f}</b></figcaption></figure>"


def _caption(hit: Hit) -> str:
    text = hit.record.get("text") or hit.record.get("caption") or storage.name(str(hit.record.get("uri") or ""))
    return f"{hit.rank}. {text}"


def _drawn(hit: Hit) -> Cell:
    return Cell(str(hit.record.get("uri") or ""), f"{_caption(hit)} ({hit.score:.3f})")
