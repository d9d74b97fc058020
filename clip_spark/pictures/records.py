"""*Worker.* The records of pictures, and the columns that come from the JSON beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from clip_spark.datasets import schema
from clip_spark.pictures.sources import Picture

COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("record_id", pa.string()),
    ("kind", pa.string()),
    ("uri", pa.string()),
    ("caption", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("offset", pa.int64()),
    ("size", pa.int64()),
    ("metadata", pa.string()),
)
"""`offset` and `size` (bytes) find a tar member in its tar with one range request; `offset` is null elsewhere."""


@dataclass(frozen=True)
class PictureRow:
    """What a record of a picture is made from: where it came from (bytes dropped), and its size as stored."""

    picture: Picture
    width: int
    height: int
    bytes: int


def records_schema(metadata_columns: Sequence[str]) -> pa.Schema:
    """*Pure.* The columns of image records; metadata columns are strings."""
    return pa.schema([*COLUMNS, *((name, pa.string()) for name in metadata_columns)])


def records_table(rows: Sequence[PictureRow], metadata_columns: Sequence[str]) -> pa.Table:
    """*Pure.* The records of some pictures, in order."""
    values = [_record(row, metadata_columns) for row in rows]
    return pa.Table.from_pylist(values, schema=records_schema(metadata_columns))


def _record(row: PictureRow, metadata_columns: Sequence[str]) -> dict[str, Any]:
    picture = row.picture
    own = metadata_values(picture.metadata, metadata_columns) if metadata_columns else {}
    return {
        "record_id": schema.record_id(picture.uri),
        "kind": "image",
        "uri": picture.uri,
        "caption": picture.caption,
        "width": row.width,
        "height": row.height,
        "offset": picture.offset,
        "size": row.bytes,
        "metadata": picture.metadata,
        **own,
    }


def metadata_values(metadata: str | None, names: Sequence[str]) -> dict[str, str | None]:
    """*Pure.* Some keys of a JSON object as text; null where the key is absent or the text is not an object."""
    try:
        found = json.loads(metadata) if metadata else {}
    except ValueError:
        found = {}
    found = found if isinstance(found, dict) else {}
    return {name: _as_text(found.get(name)) for name in names}


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
