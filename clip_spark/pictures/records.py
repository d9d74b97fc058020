"""*Worker.* The records of pictures, and the columns that come from the JSON beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from clip_spark.datasets import schema
from clip_spark.pictures.items import Picture
from clip_spark.pictures.plain_text import json_object, value_at

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


@dataclass(frozen=True)
class MetadataColumn:
    """A key of the pictures' metadata as a column: `type` is Arrow's name of bool, int64, double or string."""

    key: str
    name: str
    type: str

    @property
    def arrow_type(self) -> pa.DataType:
        """The type of its values."""
        return pa.type_for_alias(self.type)

    def value(self, found: Any) -> Any:
        """A value as the column holds it, or None where it does not fit; the record's `metadata` still has it."""
        if found is None or self.type == "string":
            return found if found is None or isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        if self.type == "bool":
            return found if isinstance(found, bool) else None
        if isinstance(found, bool) or not isinstance(found, (int, float)):
            return None
        if self.type == "double":
            return float(found)
        return int(found) if found == int(found) and abs(found) < 1 << 63 else None


def records_schema(columns: Sequence[MetadataColumn]) -> pa.Schema:
    """*Pure.* The columns of image records."""
    return pa.schema([*COLUMNS, *((column.name, column.arrow_type) for column in columns)])


def records_table(rows: Sequence[PictureRow], columns: Sequence[MetadataColumn]) -> pa.Table:
    """*Pure.* The records of some pictures, in order."""
    values = [_record(row, columns) for row in rows]
    return pa.Table.from_pylist(values, schema=records_schema(columns))


def _record(row: PictureRow, columns: Sequence[MetadataColumn]) -> dict[str, Any]:
    picture = row.picture
    return {
        "record_id": picture.record_id or schema.record_id(picture.uri),
        "kind": "image",
        "uri": picture.uri,
        "caption": picture.caption,
        "width": row.width,
        "height": row.height,
        "offset": picture.offset,
        "size": row.bytes,
        "metadata": picture.metadata,
        **metadata_values(picture.metadata, columns),
    }


def metadata_values(metadata: str | None, columns: Sequence[MetadataColumn]) -> dict[str, Any]:
    """*Pure.* Some keys of a JSON object by column (or paths of keys); null where one is absent or of another type."""
    found = json_object(metadata) if metadata and columns else None
    return {column.name: column.value(value_at(found or {}, column.key)) for column in columns}


def misfits(row: PictureRow, columns: Sequence[MetadataColumn]) -> list[str]:
    """*Pure.* Names of the columns whose value in this picture's metadata is of another type."""
    found = json_object(row.picture.metadata) if row.picture.metadata and columns else None
    given = {column: value_at(found or {}, column.key) for column in columns}
    return [column.name for column, value in given.items() if value is not None and column.value(value) is None]
