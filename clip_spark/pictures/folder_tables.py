"""*Worker.* One table for all pictures of a folder: clipper's metadata.json, datasets' metadata.csv and others.

Rows name their picture by a path from the table's folder on (`file_name` and the like), or by its name without the
ending, which is how clipper's keys are.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from clip_spark import storage
from clip_spark.pictures.plain_text import to_json

TABLES = ("metadata.jsonl", "metadata.csv", "metadata.parquet", "metadata.json")
"""Names of such files, the better one first."""
NAMES = ("file_name", "filename", "image_file_name", "file", "path", "image_path", "image", "key", "id")
"""Columns that may name the picture."""


def read_table_rows(table: str, wanted: set[str]) -> dict[str, str]:
    """*Worker.* The rows of some pictures.

    Args:
        table: URI of the table.
        wanted: URIs of pictures; rows of others are not kept.

    Returns:
        picture's URI -> its row as JSON.

    Raises:
        ValueError: the table is damaged, or no column names pictures.
    """
    folder = table.rpartition("/")[0]
    by_stem: dict[str, list[str]] = {}
    for uri in wanted:
        by_stem.setdefault(_stem(uri), []).append(uri)
    found = {}
    for name, row in _named_rows(table):
        uri = storage.join(folder, name)
        for picture in [uri] if uri in wanted else by_stem.get(uri, ()):
            found[picture] = to_json(row)
    return found


def _stem(uri: str) -> str:
    folder, slash, base = uri.rpartition("/")
    return folder + slash + (base.rpartition(".")[0] or base)


def _named_rows(table: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(Name of the picture, the rest of the row) of all rows."""
    for row in _rows(table):
        column = next((name for name in NAMES if isinstance(row.get(name), str)), None)
        if column is None:
            raise ValueError(f"no row names its picture ({', '.join(NAMES[:5])}); the columns are {', '.join(row)}")
        yield row[column].replace("\\", "/").removeprefix("./"), {k: v for k, v in row.items() if k != column}


def _rows(table: str) -> Iterator[dict[str, Any]]:
    ending = table.rpartition(".")[2].lower()
    if ending == "parquet":
        yield from _parquet_rows(table)
        return
    text = storage.read_text(table)
    if ending == "csv":
        for row in csv.DictReader(io.StringIO(text, newline="")):
            yield {name: _number(cell) for name, cell in row.items() if name is not None}
    elif ending == "jsonl":
        yield from _json_rows([json.loads(line) for line in text.split("\n") if line.strip()])
    else:
        yield from _json_rows(json.loads(text))


def _number(cell: str | None) -> Any:
    """The number that a cell of a CSV file writes, or its text: `007` is a name."""
    for kind in (int, float):
        with suppress(TypeError, ValueError):
            if str(kind(cell)) == cell:  # type: ignore[arg-type]
                return kind(cell)
    return cell


def _json_rows(value: Any) -> Iterator[dict[str, Any]]:
    """Of a list of objects, or of an object of objects by the pictures' names."""
    if isinstance(value, dict):
        value = [{**row, "file_name": name} for name, row in value.items() if isinstance(row, dict)]
    yield from (row for row in value if isinstance(row, dict))


def _parquet_rows(table: str) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    with storage.open_read(table) as stream:
        for batch in pq.ParquetFile(stream).iter_batches(batch_size=1024):
            yield from batch.to_pylist()
