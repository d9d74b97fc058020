"""*Anywhere.* Classes of texts: values of a column of their records, such as n-gram orders, or a user's own banks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from clip_spark.errors import SpecError, nearest
from clip_spark.index.open.records import RecordReader

MOST_TOLD = 20


def class_name(value: Any, kind: pa.DataType) -> str:
    """*Pure.* A value of the classes' column, of this type, as conditions write it."""
    if pa.types.is_float32(kind):
        return str(np.float32(value))
    return str(value).lower() if pa.types.is_boolean(kind) else str(value)


def class_condition(column: str, name: str) -> str:
    """*Pure.* The condition that the texts of a class fulfil, and no others."""
    quoted_column, literal = column.replace('"', '""'), name.replace("'", "''")
    return f"cast(\"{quoted_column}\" as varchar) = '{literal}'"


def check_classes(texts: RecordReader, column: str, names: Iterable[str]) -> None:
    """*Driver.* Raise SpecError unless the records have the column, and each class at least one text.

    Records are read until all classes were seen.
    """
    texts.check_columns([column])
    kind, wanted, seen = texts.schema.field(column).type, set(names), set[str]()
    for _, batch in texts.batches():
        if wanted <= seen:
            return
        if column in batch.schema.names:
            values = batch.column(column).cast(kind, safe=False).drop_null().unique().to_pylist()
            seen.update(class_name(value, kind) for value in values)
    for name in sorted(wanted - seen):
        told = ", ".join(sorted(seen)[:MOST_TOLD]) or "none"
        raise SpecError(
            f"No text has the {column} '{name}' that --quotas names; there are: {told}.{nearest(name, seen)}"
        )


def conditions(column: str, names: Iterable[str], where: str) -> dict[str, str]:
    """*Pure.* Class -> the condition on its texts, in the order of the names."""
    also = f" and ({where})" if where else ""
    return {name: class_condition(column, name) + also for name in names}
