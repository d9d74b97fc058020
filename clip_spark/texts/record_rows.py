"""*Worker.* The rows of a table in the columns of records: one row for each text, with the user's own columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import types

from clip_spark.datasets import schema
from clip_spark.texts.corpus import Account
from clip_spark.texts.corpus.account import at_row
from clip_spark.texts.corpus.json_rows import dig, kind_of
from clip_spark.texts.corpus.rows import json_text
from clip_spark.texts.record_columns import PARENT, Keys, id_keys, is_taken, key_columns, own_name
from clip_spark.texts.specs import RecordsSpec

NO_TEXT, NOT_UTF8, NO_FIT, NO_ID = "no text", "not UTF-8", "does not fit its column", "no id"
UNSEEN = "not among the first rows of its file"


class Place(NamedTuple):
    """Where rows are: the file, its path below the input, and their numbers in it, from 1."""

    uri: str
    relative: str
    numbers: Sequence[int] | np.ndarray


def as_records(table: pa.Table, spec: RecordsSpec, columns: pa.Schema, account: Account, at: Place) -> pa.Table:
    """*Worker.* The rows in the columns of records, one row for each text that can be used.

    Args:
        table: rows of a file.
        spec: what the user wants.
        columns: of all records (`plan_columns`).
        account: told of rows that cannot be used, and of columns that nobody planned for.
        at: where the rows are.
    """
    first, *others = key_columns(spec, table.column_names)
    rows, texts = _spread(_texts(table, first) if first else [None] * table.num_rows)
    where = [at_row(at.uri, at.numbers[row]) for row in rows]
    keys = [_usable(text, source, first, account) for text, source in zip(texts, where, strict=True)]
    own = _ids(table, spec) if spec.id_column else None
    names = [at_row(at.relative, at.numbers[row]) for row in range(table.num_rows)] if own is None else own
    if own is not None:
        found = zip(keys, rows, where, strict=True)
        keys = [key and _with_id(key, own[row], source, account) for key, row, source in found]
    made: dict[str, list[Any]] = {
        first.target if first else ("uri" if spec.uri_column else "text"): keys,
        "record_id": _record_ids(keys, rows, own),
        "kind": ["image" if spec.uri_column else "text"] * len(rows),
        PARENT: [schema.record_id(names[row] or "") for row in rows],
    }
    for other in filter(None, others):
        beside = _texts(table, other)
        made[other.target] = [_first_text(beside[row]) for row in rows]
    used = {keys.top for keys in (first, *others) if keys and is_taken(keys, table.schema, spec)}
    kept = {own_name(name): table[name] for name in table.column_names if name not in used}
    _note_unseen(kept, columns, account)
    if rows != list(range(table.num_rows)):
        kept = {name: column.take(pa.array(rows, pa.int64())) for name, column in kept.items()}
    bad: dict[int, str] = {}
    values = [_column(field, made, kept, len(rows), bad) for field in columns]
    for row, why in bad.items():
        if keys[row] is not None:
            account.reject(where[row], NO_FIT, why)
    records = pa.table(values, schema=columns)
    return records.filter(pa.array([key is not None and row not in bad for row, key in enumerate(keys)], pa.bool_()))


def _ids(table: pa.Table, spec: RecordsSpec) -> list[str | None]:
    """*Worker.* The user's own id of each row, as text."""
    keys = id_keys(spec, table.column_names)
    return [json_text(value) for value in _texts(table, keys)] if keys else [None] * table.num_rows


def _with_id(key: str, own: str | None, source: str, account: Account) -> str | None:
    """*Worker.* The key of a row that has an id of its own; a row without one is rejected."""
    if own is None or not own.strip():
        account.reject(source, NO_ID, "the column of ids is missing or empty here")
        return None
    return key


def _record_ids(keys: Sequence[str | None], rows: Sequence[int], own: Sequence[str | None] | None) -> list[str | None]:
    """*Pure.* Ids of records: of their text or URI, or of the user's id and, in a row of several texts, its number."""
    if own is None:
        return [schema.record_id(key) if key else None for key in keys]
    seen, found = Counter[int](), list[str | None]()
    several = Counter(rows)
    for key, row in zip(keys, rows, strict=True):
        name = f"{own[row]}#{seen[row]}" if several[row] > 1 else f"{own[row]}"
        seen[row] += 1
        found.append(schema.record_id(name) if key else None)
    return found


def _note_unseen(kept: Mapping[str, pa.ChunkedArray], columns: pa.Schema, account: Account) -> None:
    for name, column in kept.items():
        if name not in columns.names and column.null_count < len(column):
            account.leave_out(f"column {name}", UNSEEN, len(column) - column.null_count)


def _column(field: pa.Field, made: Mapping[str, Any], kept: Mapping[str, Any], rows: int, bad: dict[int, str]) -> Any:
    if field.name in made:
        return pa.array(made[field.name], field.type)
    return _fitted(kept[field.name], field, bad) if field.name in kept else pa.nulls(rows, field.type)


def _fitted(column: pa.ChunkedArray, field: pa.Field, bad: dict[int, str]) -> Any:
    """*Worker.* A column in the type that all files' columns of this name share; notes the rows that do not fit."""
    if column.type == field.type:
        return column
    if types.is_string(field.type) and not types.is_binary(column.type):
        return pa.array([json_text(value) for value in column.to_pylist()], field.type)
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        values = column.to_pylist()
    for row, value in enumerate(values):
        try:
            pa.scalar(value, field.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError, OverflowError):
            values[row] = None
            bad[row] = f"'{field.name}' is {field.type}, this row has {str(value)[:100]!r}"
    return pa.array(values, field.type)


def _texts(table: pa.Table, keys: Keys) -> Sequence[Any]:
    column = table[keys.top]
    if pa.types.is_string(column.type):  # a damaged file may hold text that is no UTF-8
        views = [chunk.view(pa.binary()).to_pylist() for chunk in column.chunks]
        values: list[Any] = [
            None if text is None else text.decode("utf-8", "replace") for view in views for text in view
        ]
    else:
        values = column.to_pylist()
    return [dig(value, keys.inside) for value in values] if keys.inside else values


def _first_text(value: Any) -> str | None:
    """*Pure.* The text beside a link: of a list the first that is not blank."""
    if not isinstance(value, list):
        return json_text(value)
    return next((text for text in map(json_text, value) if text and text.strip()), None)


def _spread(texts: Sequence[Any]) -> tuple[list[int], list[Any]]:
    """*Pure.* (row of each text, text): a row with a list has several, an empty list none that can be used."""
    rows, chosen = list[int](), list[Any]()
    for row, value in enumerate(texts):
        found = value or [None] if isinstance(value, list) else [value]
        rows += [row] * len(found)
        chosen += found
    return rows, chosen


def _usable(value: Any, source: str, keys: Keys | None, account: Account) -> str | None:
    """*Worker.* A text that can be embedded, as text; None if it is blank or was rejected."""
    if keys is None:
        account.reject(source, NO_TEXT, "the column is missing")
        return None
    if isinstance(value, (dict, list, tuple)):
        account.reject(source, NO_TEXT, f"'{keys.top}' is {kind_of(value)}")
        return None
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            account.reject(source, NOT_UTF8, str(error))
            return None
    text = json_text(value)
    if text is None or not text.strip():
        account.counters["empty"] += 1
        return None
    return text
