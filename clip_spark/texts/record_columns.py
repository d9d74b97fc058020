"""*Pure.* The columns of records, planned: the one that is embedded, and the user's own, none of which is lost.

One rule for names: a user's column that is called as one of RESERVED is kept as `input_<name>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import types

from clip_spark.datasets import schema
from clip_spark.errors import InputError, nearest
from clip_spark.texts.specs import RecordsSpec

TEXT, PARENT = "text", "parent_id"
"""PARENT: of a record that is one of several of a row: the same 32 hex digits for all of them."""
RESERVED = ("record_id", "kind", "text", "uri", "n", PARENT)


def own_name(name: str) -> str:
    """*Pure.* What a user's column is called in records."""
    return schema.own_name(name, RESERVED)


@dataclass(frozen=True)
class Keys:
    """How the text (or the URI) of a row is found.

    Attributes:
        target: `text` or `uri`.
        top: the column.
        inside: what is looked for inside of it; empty for the column itself, which then is no column of its own.
    """

    target: str
    top: str
    inside: str = ""


def find_keys(wanted: str, target: str, names: list[str]) -> Keys | None:
    """*Pure.* The column `a.b`, or what is called `b` inside a column `a`; None if there is neither."""
    top = wanted
    while top and top not in names:
        top = top.rpartition(".")[0]
    return Keys(target, top, wanted[len(top) + 1 :]) if top else None


def key_columns(spec: RecordsSpec, names: list[str]) -> list[Keys | None]:
    """*Pure.* Where the text and the URI are; what decides whether rows are the same comes first."""
    if not spec.uri_column:
        return [find_keys(spec.text_column, "text", names)]
    keys = [find_keys(spec.uri_column, "uri", names)]
    if spec.text_column != spec.uri_column:
        keys.append(find_keys(spec.text_column, "text", names))
    return keys


def is_taken(keys: Keys, columns: pa.Schema, spec: RecordsSpec) -> bool:
    """*Pure.* True if the record's column is all that the user's holds.

    What is one of several keys inside, or the first of a list beside a link, leaves the whole a column of its own.
    """
    return not keys.inside and not (
        spec.uri_column and keys.target == "text" and _is_list(columns.field(keys.top).type)
    )


def id_keys(spec: RecordsSpec, names: list[str]) -> Keys | None:
    """*Pure.* Where the id of a row is, if the user named a column for it; its column stays one of the record's."""
    return find_keys(spec.id_column, "record_id", names) if spec.id_column else None


def plan_columns(found: Mapping[str, pa.Schema], spec: RecordsSpec, partitions: pa.Schema) -> pa.Schema:
    """*Pure.* The columns of the records: id, kind, text or uri, then the user's columns of all files.

    Args:
        found: file -> its columns; files without a row are left out.
        spec: what the user wants.
        partitions: columns that the names of folders tell.

    Raises:
        InputError: no file has the column, it holds no text, or two files give a column types that do not fit together.
    """
    merged, lists, has_text = partitions, False, not spec.uri_column
    _check_found(found, spec)
    _check_ids(found, spec)
    for uri, columns in found.items():
        key, *beside = key_columns(spec, columns.names)
        for keys in filter(None, (key, *beside)):
            is_list = _check_text(keys, columns.field(keys.top).type, uri, spec)
            lists = lists or (is_list and keys is key)
            has_text = has_text or keys.target == "text"
            if is_taken(keys, columns, spec):
                columns = columns.remove(columns.get_field_index(keys.top))
        merged = _merge(merged, columns, uri, found)
    made = [("record_id", pa.string()), ("kind", pa.string())]
    made += [(PARENT, pa.string())] if lists else []
    made += [("text", pa.string())] if has_text else []
    made += [("uri", pa.string())] if spec.uri_column else []
    return pa.schema([*made, *(field.with_name(own_name(field.name)) for field in merged)]).remove_metadata()


def _check_found(found: Mapping[str, pa.Schema], spec: RecordsSpec) -> None:
    """*Pure.* Some file has the columns that the user names; rows of files that lack them are rejects.

    Beside links a column `text` is taken where there is one: that is the default, and nobody's slip.
    """
    wanted = {"uri-column": spec.uri_column} if spec.uri_column else {}
    if not spec.uri_column or spec.text_column != TEXT:
        wanted["text-column"] = spec.text_column
    for option, name in wanted.items():
        if found and not any(find_keys(name, TEXT, columns.names) for columns in found.values()):
            uri, columns = next(iter(found.items()))
            raise InputError(
                f"'{uri}' has no column '{name}' (it has {', '.join(columns.names)}); "
                f"name the right one with --{option}.{nearest(name, columns.names)}"
            )


def _check_ids(found: Mapping[str, pa.Schema], spec: RecordsSpec) -> None:
    """*Pure.* Some file has the column of ids; rows of files that lack it are rejects."""
    if not spec.id_column or not found or any(id_keys(spec, columns.names) for columns in found.values()):
        return
    uri, columns = next(iter(found.items()))
    raise InputError(
        f"'{uri}' has no column '{spec.id_column}' (it has {', '.join(columns.names)}); "
        f"name the right one with --id-column.{nearest(spec.id_column, columns.names)}"
    )


def _check_text(keys: Keys, kind: pa.DataType, uri: str, spec: RecordsSpec) -> bool:
    """*Pure.* True if a row may hold several texts; raises InputError if it holds none."""
    option = "uri-column" if keys.target == "uri" else "text-column"
    wanted = f"{keys.top}.{keys.inside}" if keys.inside else keys.top
    inner, lists = type_inside(kind, keys.inside)
    if inner is None:
        raise InputError(f"'{uri}' has nothing called '{wanted}' inside '{keys.top}'; name another with --{option}.")
    if types.is_struct(inner):
        names = ", ".join(f"{wanted}.{inner.field(i).name}" for i in range(inner.num_fields))
        raise InputError(f"'{wanted}' of '{uri}' holds no text but objects; name one of {names} with --{option}.")
    if types.is_map(inner):
        raise InputError(f"'{wanted}' of '{uri}' holds no text but {inner}; name another column with --{option}.")
    return lists


def type_inside(kind: pa.DataType, inside: str, lists: bool = False) -> tuple[pa.DataType | None, bool]:
    """*Pure.* The type that a path inside of a type leads to, and whether it leads through a list."""
    if _is_list(kind):
        return type_inside(kind.value_type, inside, True)
    if inside and (types.is_string(kind) or types.is_large_string(kind)):
        return kind, lists  # JSON in a column of text, as in tables of others: its rows will tell
    if not inside or not types.is_struct(kind):
        return (None if inside else kind), lists
    for field in (kind.field(i) for i in range(kind.num_fields)):
        if inside == field.name or inside.startswith(f"{field.name}."):
            return type_inside(field.type, inside[len(field.name) + 1 :], lists)
    return None, lists


def _is_list(kind: pa.DataType) -> bool:
    return types.is_list(kind) or types.is_fixed_size_list(kind) or types.is_large_list(kind)


def _merge(merged: pa.Schema, columns: pa.Schema, uri: str, found: Mapping[str, pa.Schema]) -> pa.Schema:
    try:
        return pa.unify_schemas([merged, columns], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        for field in columns:
            others = {u: c.field(field.name) for u, c in found.items() if field.name in c.names}
            other = next((u for u, seen in others.items() if _clash(seen, field)), "")
            if other:
                raise InputError(
                    f"The column '{field.name}' is {others[other].type} in '{other}' and {field.type} in '{uri}'; "
                    "bring both to one type, or make records of them apart."
                ) from error
        raise InputError(f"The columns of '{uri}' do not fit those of the files before it: {error}.") from error


def _clash(one: pa.Field, other: pa.Field) -> bool:
    try:
        pa.unify_schemas([pa.schema([one]), pa.schema([other])], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return True
    return False


def merged_values(one: pa.Schema, other: pa.Schema) -> pa.Schema:
    """*Pure.* The columns of two batches of one JSON file: a key whose values are of several kinds is text."""
    fields = {field.name: field for field in one}
    for field in other:
        seen = fields.get(field.name, field)
        if _clash(seen, field):
            fields[field.name] = pa.field(field.name, pa.string())
        else:
            merged = pa.unify_schemas([pa.schema([seen]), pa.schema([field])], promote_options="permissive")
            fields[field.name] = merged.field(0)
    return pa.schema(list(fields.values()))
