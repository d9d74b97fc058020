"""*Worker.* A bound condition runs over rows: streamed, in bounded memory, for a bounded time.

DuckDB sees numbers of rows and the columns that the condition names; it may open no file, load no extension, and
change no setting. Its own messages are never repeated: they can hold data.
"""

from __future__ import annotations

import os
import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from clip_spark.datasets.condition.binding import Bound, bind
from clip_spark.datasets.condition.columns import hand_over, handed_over, type_at, value_at
from clip_spark.datasets.condition.words import mistake
from clip_spark.errors import SpecError


class TooSlowCondition(SpecError):
    """A condition takes longer than it may: it asks for too much, or the machine has too much to do."""


if TYPE_CHECKING:
    import duckdb

POSITION = "p"
MEMORY = "512MB"
"""For all conditions that run at once in this process."""
SETTINGS = {
    "temp_directory": "''",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "enable_external_access": "false",
    "lock_configuration": "true",
}
SECONDS = 600.0
"""The longest that a condition may run in a batch job."""


def check_patterns(condition: str, bound: Bound) -> None:
    """*Driver.* Raise SpecError unless DuckDB takes the regular expressions of a condition."""
    import duckdb

    for place, pattern in bound.patterns:
        try:
            with _database(os.getpid()).cursor() as cursor:
                cursor.execute("SELECT regexp_matches('', ?)", [pattern]).fetchall()
        except duckdb.Error as error:
            raise mistake(condition, place, "this is no regular expression (RE2).") from error


def check_condition(condition: str, schema: pa.Schema) -> Bound:
    """*Driver.* The bound condition, or SpecError unless DuckDB takes it; reads no row."""
    bound = bind(condition, schema)
    check_patterns(condition, bound)
    fields = [pa.field(f"c{number}", handed_over(type_at(schema, name))) for number, name in enumerate(bound.columns)]
    empty = pa.schema([*fields, (POSITION, pa.int64())]).empty_table()
    matching(bound, empty.to_reader(), time.monotonic() + SECONDS)
    return bound


@lru_cache(1)
def _database(process: int) -> duckdb.DuckDBPyConnection:
    """The database of a process: empty, in memory, closed to everything outside."""
    import duckdb

    database = duckdb.connect(":memory:", config={"threads": 2, "memory_limit": MEMORY})
    for name, value in SETTINGS.items():  # in this order: the last ones forbid to change the others
        database.execute(f"SET {name} = {value}")
    return database


def rows_that_fit(bound: Bound, table: pa.Table) -> pa.Array:
    """*Worker.* For each row of a table whether it fulfils a condition, bool; a missing column is all null.

    Raises:
        SpecError: it takes too long or too much memory, or cannot be computed on a row.
    """
    handed = [numbered(bound, table.schema, batch, 0) for batch in table.combine_chunks().to_batches()]
    mask = np.zeros(table.num_rows, bool)
    if handed:
        reader = pa.RecordBatchReader.from_batches(handed[0].schema, handed)
        mask[matching(bound, reader, time.monotonic() + SECONDS)] = True
    return pa.array(mask)


def check_value(bound: Bound, schema: pa.Schema) -> None:
    """*Driver.* Raise SpecError unless DuckDB takes an expression; reads no row."""
    values_of(bound, schema.empty_table())


def values_of(bound: Bound, table: pa.Table) -> np.ndarray:
    """*Worker.* What an expression (`bind_value`) is for each row of a table, float64 (n,); -inf where it has no value.

    Raises:
        SpecError: it takes too much memory, or cannot be computed on a row.
    """
    import duckdb

    values: np.ndarray = np.full(table.num_rows, -np.inf)
    with _database(os.getpid()).cursor() as cursor:
        for batch in table.combine_chunks().to_batches():
            cursor.register("records", pa.Table.from_batches([numbered(bound, table.schema, batch, 0)]))
            try:
                found = cursor.execute(f"SELECT {POSITION}, {bound.sql} AS v FROM records").fetchnumpy()
            except (duckdb.Error, RuntimeError) as error:
                raise SpecError(_reason(error).replace("condition", "expression")) from None
            computed = np.ma.asarray(found["v"], dtype=np.float64).filled(-np.inf)
            values[found[POSITION]] = np.where(np.isnan(computed), -np.inf, computed)
    return values


def numbered(bound: Bound, schema: pa.Schema, batch: pa.RecordBatch, start: int) -> pa.RecordBatch:
    """*Pure.* The columns of a condition as DuckDB gets them, and the numbers of the rows from `start`."""
    kinds = {name: type_at(schema, name) for name in bound.columns}
    columns = [hand_over(_column(batch, name, kind), kind) for name, kind in kinds.items()]
    columns.append(pa.array(np.arange(start, start + batch.num_rows, dtype=np.int64)))
    return pa.RecordBatch.from_arrays(columns, [*(f"c{number}" for number in range(len(kinds))), POSITION])


def _column(batch: pa.RecordBatch, name: str, kind: pa.DataType) -> Any:
    found = value_at(batch, name)
    column = pa.nulls(batch.num_rows, kind) if found is None else found
    return column if column.type == kind else column.cast(kind, safe=False)


def matching(bound: Bound, reader: pa.RecordBatchReader, end: float) -> np.ndarray:
    """*Worker.* Numbers, int64, of the rows of some batches (`numbered`) that fulfil a condition.

    Raises:
        SpecError: it is not done at `end` (of time.monotonic), takes too much memory, or cannot be computed on a row.
    """
    import duckdb

    with _database(os.getpid()).cursor() as cursor:
        cursor.register("records", reader)
        timer = threading.Timer(max(0.0, end - time.monotonic()), cursor.interrupt)
        timer.start()
        try:
            found = cursor.execute(f"SELECT {POSITION} FROM records WHERE {bound.sql}").fetchnumpy()
        except (duckdb.Error, TimeoutError, RuntimeError) as error:
            raise _mistake(error, end) from None  # its cause would show data in a log
        finally:
            timer.cancel()
    return np.sort(np.asarray(found[POSITION], np.int64))


def _mistake(error: Exception, end: float) -> SpecError:
    if time.monotonic() >= end:
        return TooSlowCondition("The condition takes too long; a simpler one, or one on fewer columns, is needed.")
    return SpecError(_reason(error))


def _reason(error: Exception) -> str:
    import duckdb

    if isinstance(error, duckdb.OutOfMemoryException):
        return f"The condition takes more than {MEMORY} of memory; a simpler one is needed."
    return "The condition cannot be computed on some record, such as a sum that is too large for its column."
