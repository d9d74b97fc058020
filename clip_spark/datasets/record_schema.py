"""*Anywhere.* The columns of records of several sets: one schema over all their files.

A column that a set lacks is null there; whole numbers become fractions where another set has those, and short text
types become long ones. Columns of one name and types that have nothing in common are a mistake, said before any work.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.ipc

from clip_spark.errors import InputError


def unify(schemas: Iterable[tuple[str, pa.Schema]]) -> pa.Schema:
    """*Pure.* The schema that records of all these files fit into; each comes with the name of what has it.

    Raises:
        InputError: a column has types that no one type can hold.
    """
    whole, seen = pa.schema([]), set[pa.Schema]()
    for owner, found in schemas:
        plain = pa.schema([field.with_nullable(True).remove_metadata() for field in found])
        if plain not in seen:  # most files of a set are alike
            seen.add(plain)
            whole = _joined(whole, plain, owner)
    return whole


def _joined(whole: pa.Schema, more: pa.Schema, owner: str) -> pa.Schema:
    try:
        return pa.unify_schemas([whole, more], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        name, before, now = next(_conflicts(whole, more))
        raise InputError(
            f"The column '{name}' is {now} in '{owner}' and {before} in the other records; "
            "give it one type, or another name."
        ) from error


def _conflicts(whole: pa.Schema, more: pa.Schema) -> Iterator[tuple[str, pa.DataType, pa.DataType]]:
    """*Pure.* (column, type so far, other type) for each column whose types do not go together."""
    for field in more:
        mine = [field.name == name for name in whole.names]
        if any(mine):
            before = whole.field(mine.index(True))
            try:
                pa.unify_schemas([pa.schema([before]), pa.schema([field])], promote_options="permissive")
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                yield field.name, before.type, field.type


def shaped(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """*Pure.* A batch with the columns of a schema: promoted where their type is another, null where it lacks them."""
    if batch.schema.equals(schema):  # as nearly always
        return batch
    names = set(batch.schema.names)
    columns = [
        batch.column(field.name).cast(field.type, safe=False)  # whole numbers beyond 2^53 lose their last digits
        if field.name in names
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def to_text(schema: pa.Schema) -> str:
    """*Pure.* A schema for JSON: Arrow's own bytes in base64."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def from_text(text: str) -> pa.Schema:
    """*Pure.* The inverse of `to_text`."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))
