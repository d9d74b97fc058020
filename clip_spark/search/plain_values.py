"""*Pure.* Values of any column as JSON and as CSV have them: no NaN, bytes as base64, dates as ISO writes them."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import pyarrow as pa
from pyarrow import types

AS_THEY_ARE = (str, int, bool, type(None))
WRITABLE = (types.is_string, types.is_integer, types.is_floating, types.is_boolean, types.is_date, types.is_timestamp)
"""What Arrow's writer of CSV has words for."""


def plain(value: Any) -> Any:
    """*Pure.* Anything a parquet column can hold as JSON: dates as ISO text, bytes as base64, NaN as null."""
    if type(value) in AS_THEY_ARE:
        return value
    if isinstance(value, Mapping):
        return {str(key): item if type(item) in AS_THEY_ARE else plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, date) else str(value)


def csv_bytes(table: pa.Table) -> bytes:
    """*Pure.* A table as CSV; lists and objects, which CSV has no words for, are JSON in their cell."""
    from pyarrow.csv import write_csv

    for place, field in enumerate(table.schema):
        if types.is_float16(field.type) or not any(is_kind(field.type) for is_kind in WRITABLE):
            cells = pa.array([_cell(value) for value in table.column(place).to_pylist()], pa.string())
            table = table.set_column(place, field.name, cells)
    sink = io.BytesIO()
    write_csv(table, sink)
    return sink.getvalue()


def _cell(value: Any) -> str | None:
    found = plain(value)
    return found if found is None or isinstance(found, str) else json.dumps(found, ensure_ascii=False)
