"""*Pure.* Arrow types as parquet, DuckDB and pandas all know them: what a user's column is stored as.

text of any layout, dictionaries of it   string
lists of any layout                      list
dictionaries, run lengths, extensions    what they hold; a UUID is its text
float16                                  float32
objects without keys                     null
null                                     stays null, and takes the type that another file gives it
"""

from __future__ import annotations

import uuid
from typing import Any

import pyarrow as pa
from pyarrow import types


def plain_table(table: pa.Table) -> pa.Table:
    """*Pure.* A table with columns of plain types and names that differ."""
    columns, names = [], list[str]()
    for place, (field, column) in enumerate(zip(table.schema, table.columns, strict=True)):
        name = field.name or f"column_{place + 1}"
        while name in names:
            name += "_2"
        names.append(name)
        columns.append(_plain(column))
    return pa.table(columns, names=names) if columns else table


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if isinstance(column.type, pa.BaseExtensionType):
        return _of_extension(column)
    if types.is_dictionary(column.type):
        return _plain(pa.chunked_array([c.dictionary_decode() for c in column.chunks], column.type.value_type))
    wanted = plain_type(column.type)
    if wanted == column.type:
        return column
    if types.is_nested(column.type) and _holds_odd_types(column.type):
        return pa.chunked_array([pa.array([_without_empty(value) for value in column.to_pylist()], wanted)])
    return pa.chunked_array([pa.nulls(len(column))]) if types.is_null(wanted) else column.cast(wanted)


def _without_empty(value: Any) -> Any:
    """*Pure.* A value with null in place of objects without keys."""
    if isinstance(value, dict):
        return {name: _without_empty(item) for name, item in value.items()} or None
    return type(value)(map(_without_empty, value)) if isinstance(value, (list, tuple)) else value


def _of_extension(column: pa.ChunkedArray) -> pa.ChunkedArray:
    storage = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    if column.type.extension_name == "arrow.uuid":
        values = [value and str(uuid.UUID(bytes=value)) for value in storage.to_pylist()]
        return pa.chunked_array([pa.array(values, pa.string())])
    return _plain(storage)


def _holds_odd_types(kind: pa.DataType) -> bool:
    """*Pure.* True if a nested type holds what casts inside of it do not take: dictionaries, views, half floats, empty
    objects."""
    return any(
        types.is_dictionary(inner)
        or types.is_float16(inner)
        or "view" in str(inner)
        or (types.is_struct(inner) and not inner.num_fields)
        or _holds_odd_types(inner)
        for inner in (kind.field(i).type for i in range(kind.num_fields))
    )


def plain_type(kind: pa.DataType) -> pa.DataType:
    """*Pure.* The plain type that holds the same values."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.string() if kind.extension_name == "arrow.uuid" else plain_type(kind.storage_type)
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind):
        return pa.binary()
    if types.is_float16(kind):
        return pa.float32()
    if types.is_struct(kind) and not kind.num_fields:  # parquet has no such thing
        return pa.null()
    if types.is_struct(kind):
        return pa.struct([field.with_type(plain_type(field.type)) for field in kind])
    if types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if types.is_fixed_size_list(kind):
        return pa.list_(plain_type(kind.value_type), kind.list_size)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_list_view(kind) or types.is_large_list_view(kind):
        return pa.list_(plain_type(kind.value_type))
    return kind
