"""*Pure.* What the columns of records are for a condition: numbers, texts, times, lists of those, or closed boxes.

A column that DuckDB cannot take, or whose comparison could fail on a record, is handed over as another type or as
whether it is null; so it never stands in the way of a condition on other columns.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

NUMBER, TEXT, BOOLEAN, DATE, TIMESTAMP, NOTHING, OPAQUE = (
    "number", "text", "boolean", "date", "timestamp", "nothing", "opaque"
)  # fmt: skip
LIST = "list of "
TIMES = (DATE, TIMESTAMP)


def family_of(kind: pa.DataType) -> str:
    """*Pure.* How a condition may use a column of an Arrow type; `opaque` allows IS NULL alone."""
    if pa.types.is_null(kind):
        return NOTHING
    plain = handed_over(kind)
    if is_list(plain):
        return LIST + family_of(plain.value_type)
    return OPAQUE if plain == pa.bool_() and not pa.types.is_boolean(_stored(kind)) else _simple(plain)


def _simple(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return NUMBER
    if types.is_boolean(kind):
        return BOOLEAN
    if types.is_date(kind):
        return DATE
    return TIMESTAMP if types.is_timestamp(kind) else TEXT


def handed_over(kind: pa.DataType) -> pa.DataType:
    """*Pure.* The type in which DuckDB gets a column: times in UTC, dictionaries as values, the rest as booleans."""
    kind, types = _stored(kind), pa.types
    if types.is_dictionary(kind):
        return handed_over(kind.value_type)
    if types.is_float16(kind):
        return pa.float32()
    if types.is_decimal256(kind):
        return pa.float64()
    if types.is_decimal(kind):
        return pa.decimal128(kind.precision, kind.scale)
    if types.is_timestamp(kind):
        return pa.timestamp(kind.unit)
    if is_list(kind):
        # A list is taken only where its values are taken as they are: no part of it is converted.
        return kind if handed_over(kind.value_type) == kind.value_type else pa.bool_()
    return kind if _taken(kind) else pa.bool_()


def _taken(kind: pa.DataType) -> bool:
    types = pa.types
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    numbers = types.is_integer(kind) or types.is_floating(kind)
    return texts or numbers or types.is_boolean(kind) or types.is_date(kind)


def is_list(kind: pa.DataType) -> bool:
    """*Pure.* Whether a type is a list of any length or of a fixed one."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _stored(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def path_to(columns: pa.Schema | pa.StructType, name: str) -> tuple[str, ...]:
    """*Pure.* The column called `name`, or the field `b` inside of column `a` for `a.b`; empty if there is neither."""
    if columns.get_field_index(name) >= 0:
        return (name,)
    for at, letter in enumerate(name):
        place = columns.get_field_index(name[:at]) if letter == "." else -1
        kind = columns.field(place).type if place >= 0 else None
        inside = path_to(kind, name[at + 1 :]) if kind is not None and pa.types.is_struct(kind) else ()
        if inside:
            return (name[:at], *inside)
    return ()


def type_at(columns: pa.Schema, name: str) -> pa.DataType | None:
    """*Pure.* The type of what `path_to` finds; None if that is nothing."""
    found: Any = columns
    for step in path_to(columns, name):
        found = (found if found is columns else found.type).field(step)
    return None if found is columns else found.type


def value_at(batch: pa.RecordBatch, name: str) -> pa.Array | None:
    """*Pure.* The values of what `path_to` finds, null where what it lies in is; None if that is nothing."""
    path = path_to(batch.schema, name)
    if not path:
        return None
    column = batch.column(path[0])
    return pc.struct_field(column, list(path[1:])) if path[1:] else column


def hand_over(column: pa.Array, kind: pa.DataType) -> Any:
    """*Worker.* A column of records as DuckDB gets it: of type `handed_over(kind)`; opaque values are true or null.

    NaN is null, as in all output: pandas writes what it does not know so, and DuckDB holds it for the largest number.
    """
    plain = handed_over(kind)
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if family_of(kind) in (OPAQUE, NOTHING):
        return pc.if_else(pc.is_null(column), pa.scalar(None, pa.bool_()), True)
    column = column if column.type == plain else column.cast(plain)
    return pc.if_else(pc.is_nan(column), None, column) if pa.types.is_floating(plain) else column
