"""*Pure.* The columns of records: the one that is embedded, and the user's own, none of which is lost.

One rule for names: a user's column that is called as one of RESERVED is kept as `input_<name>`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import types

from clip_spark.datasets import schema
from clip_spark.errors import InputError, nearest
from clip_spark.texts.corpus.account import Account, at_row
from clip_spark.texts.corpus.json_rows import dig
from clip_spark.texts.corpus.rows import json_text
from clip_spark.texts.specs import RecordsSpec

PARENT = "parent_id"
"""Of a record that is one of several of a row: the same 32 hex digits for all of them."""
RESERVED = ("record_id", "kind", "text", "uri", "n", PARENT)
NO_TEXT, NOT_UTF8 = "no text", "not UTF-8"


def own_name(name: str) -> str:
    """*Pure.* What a user's column is called in records."""
    return f"input_{name}" if name.casefold() in RESERVED else name


class Place(NamedTuple):
    """Where rows are: the file, its path below the input, and the number of the first of them, from 1."""

    uri: str
    relative: str
    first: int


@dataclass(frozen=True)
class Keys:
    """How the text (or the URI) of a row is found.

    Attributes:
        target: `text` or `uri`.
        top: the column.
        inside: what is looked for inside of it; empty for the column itself.
    """

    target: str
    top: str
    inside: str = ""

    @property
    def replaces_column(self) -> bool:
        """The column is what is embedded, and is no column of its own any more."""
        return not self.inside


def find_column(option: str, wanted: str, target: str, found: pa.Schema, uri: str) -> Keys:
    """*Pure.* Where a column, or `a.b` inside a column `a`, is in a table.

    Raises:
        InputError: it is not there, or holds no text.
    """
    names = found.names
    top = wanted
    while top and top not in names:
        top = top.rpartition(".")[0]
    if not top:
        raise InputError(
            f"'{uri}' has no column '{wanted}' (it has {', '.join(names)}); "
            f"name the right one with --{option}.{nearest(wanted, names)}"
        )
    keys = Keys(target, top, wanted[len(top) + 1 :])
    _check_text(option, wanted, _inner_type(found.field(top).type, keys.inside), uri)
    return keys


def _inner_type(kind: pa.DataType, inside: str) -> pa.DataType | None:
    if types.is_list(kind) or types.is_fixed_size_list(kind):
        return _inner_type(kind.value_type, inside)
    if not inside or not types.is_struct(kind):
        return None if inside else kind
    for i in range(kind.num_fields):
        field = kind.field(i)
        if inside == field.name or inside.startswith(f"{field.name}."):
            return _inner_type(field.type, inside[len(field.name) + 1 :])
    return None


def _check_text(option: str, wanted: str, kind: pa.DataType | None, uri: str) -> None:
    if kind is None:
        raise InputError(f"'{uri}' has nothing called '{wanted}' inside its column; name another with --{option}.")
    if types.is_struct(kind):
        inner = ", ".join(f"{wanted}.{kind.field(i).name}" for i in range(kind.num_fields))
        raise InputError(f"'{wanted}' of '{uri}' holds no text but objects; name one of {inner} with --{option}.")
    if types.is_map(kind):
        raise InputError(f"'{wanted}' of '{uri}' holds no text but {kind}; name another column with --{option}.")


def plan_columns(found: Mapping[str, pa.Schema], spec: RecordsSpec, partitions: pa.Schema) -> pa.Schema:
    """*Pure.* The columns of the records: id, kind, text or uri, then the user's columns of all files.

    Args:
        found: file -> its columns; files without a row are left out.
        spec: what the user wants.
        partitions: columns that the names of folders tell.

    Raises:
        InputError: a file lacks the column, or two files give one column types that do not fit together.
    """
    merged = partitions
    lists = False
    for uri, columns in found.items():
        for keys in key_columns(spec, columns, uri):
            lists = lists or _makes_lists(columns.field(keys.top).type, keys)
            columns = _without(columns, keys)
        merged = _merge(merged, columns, uri, found)
    made = [("record_id", pa.string()), ("kind", pa.string())]
    made += [(PARENT, pa.string())] if lists else []
    made += [("text", pa.string())] if not spec.uri_column or _any_has(found, spec.text_column) else []
    made += [("uri", pa.string())] if spec.uri_column else []
    return pa.schema([*made, *(field.with_name(own_name(field.name)) for field in merged)]).remove_metadata()


def _any_has(found: Mapping[str, pa.Schema], name: str) -> bool:
    return any(name in columns.names or name.split(".")[0] in columns.names for columns in found.values())


def key_columns(spec: RecordsSpec, columns: pa.Schema, uri: str) -> list[Keys]:
    """*Pure.* The columns that become `text` and `uri`; what decides whether rows are the same comes first."""
    if not spec.uri_column:
        return [find_column("text-column", spec.text_column, "text", columns, uri)]
    keys = [find_column("uri-column", spec.uri_column, "uri", columns, uri)]
    if _any_has({uri: columns}, spec.text_column) and spec.text_column != spec.uri_column:
        keys.append(find_column("text-column", spec.text_column, "text", columns, uri))
    return keys


def _makes_lists(kind: pa.DataType, keys: Keys) -> bool:
    if types.is_list(kind) or types.is_fixed_size_list(kind):
        return True
    for part in keys.inside.split(".") if keys.inside else ():
        index = kind.get_field_index(part) if types.is_struct(kind) else -1
        if index < 0:
            return False
        kind = kind.field(index).type
        if types.is_list(kind):
            return True
    return False


def _without(columns: pa.Schema, keys: Keys) -> pa.Schema:
    if not keys.replaces_column or keys.top not in columns.names:
        return columns
    return columns.remove(columns.get_field_index(keys.top))


def _merge(merged: pa.Schema, columns: pa.Schema, uri: str, found: Mapping[str, pa.Schema]) -> pa.Schema:
    try:
        return pa.unify_schemas([merged, columns], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        for field in columns:
            other = next(
                (u for u, c in found.items() if field.name in c.names and _clash(c.field(field.name), field)), ""
            )
            if other and field.name in merged.names:
                first = found[other].field(field.name).type
                raise InputError(
                    f"The column '{field.name}' is {first} in '{other}' and {field.type} in '{uri}'; "
                    "bring both to one type, or make records of them apart."
                ) from None
        raise


def _clash(one: pa.Field, other: pa.Field) -> bool:
    try:
        pa.unify_schemas([pa.schema([one]), pa.schema([other])], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return True
    return False


def as_records(table: pa.Table, spec: RecordsSpec, columns: pa.Schema, account: Account, at: Place) -> pa.Table:
    """*Pure.* The rows in the columns of records, one row for each text; `record_id` is null where there is none.

    Args:
        table: rows of a file.
        spec: what the user wants.
        columns: of all records (`plan_columns`).
        account: told of rows that cannot be used.
        at: where the rows are.
    """
    keys = key_columns(spec, table.schema, at.uri)
    texts = [_texts(table, key) for key in keys]
    rows, chosen = _spread(texts[0])
    made: dict[str, Any] = {
        keys[0].target: [
            _usable(text, at_row(at.uri, at.first + row), account) for text, row in zip(chosen, rows, strict=True)
        ]
    }
    made["record_id"] = [schema.record_id(key) if key and key.strip() else None for key in made[keys[0].target]]
    made["kind"] = ["image" if spec.uri_column else "text"] * len(rows)
    made[PARENT] = (
        [schema.record_id(at_row(at.relative, at.first + row)) for row in rows] if PARENT in columns.names else []
    )
    for key, values in zip(keys[1:], texts[1:], strict=True):
        made[key.target] = [json_text(values[row]) for row in rows]
    others = {own_name(name): table[name] for name in table.column_names}
    for key in keys:
        if key.replaces_column:
            others.pop(own_name(key.top), None)
    kept = {
        name: column if rows == list(range(table.num_rows)) else column.take(pa.array(rows))
        for name, column in others.items()
    }
    return pa.table([_column(field, made, kept, len(rows)) for field in columns], schema=columns)


def _column(field: pa.Field, made: Mapping[str, Any], kept: Mapping[str, Any], rows: int) -> Any:
    if made.get(field.name):
        return pa.array(made[field.name], field.type)
    return fitted(kept[field.name], field.type) if field.name in kept else pa.nulls(rows, field.type)


def fitted(column: pa.ChunkedArray, kind: pa.DataType) -> Any:
    """*Pure.* A column in the type that all files' columns of this name share."""
    if column.type == kind:
        return column
    if types.is_string(kind) and not types.is_binary(column.type):
        return pa.array([json_text(value) for value in column.to_pylist()], kind)
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array(column.to_pylist(), kind)  # lists and structs that lack a field


def _texts(table: pa.Table, keys: Keys) -> Sequence[Any]:
    values = table[keys.top].to_pylist()
    return [dig(value, keys.inside) for value in values] if keys.inside else values


def _spread(texts: Sequence[Any]) -> tuple[list[int], list[Any]]:
    """*Pure.* (row of each text, text): a row with a list has several, an empty list none that can be used."""
    rows, chosen = list[int](), list[Any]()
    for row, value in enumerate(texts):
        found = value or [None] if isinstance(value, list) else [value]
        rows += [row] * len(found)
        chosen += found
    return rows, chosen


def _usable(value: Any, source: str, account: Account) -> str | None:
    if not isinstance(value, bytes):
        return json_text(value)
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        account.reject(source, NOT_UTF8, str(error))
        account.counters["empty"] -= 1  # a reject is no empty row too
        return None
