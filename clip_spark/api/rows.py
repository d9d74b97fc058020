"""*Worker.* Rows of a dataset's files: some columns, and files that lie side by side as one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.schema import check_columns

BATCH_ROWS = 8192

Part = tuple[str, ...]
"""URIs of files that hold the same rows in the same order, such as records and their embeddings."""


def part_schema(part: Part) -> pa.Schema:
    """*Worker.* The columns of a part; one that is in two files counts once."""
    found: dict[str, pa.Field] = {}
    for uri in part:
        with storage.open_read(uri) as stream:
            for field in pq.read_schema(stream):
                found.setdefault(field.name, field)
    return pa.schema(found.values())


def part_batches(part: Part, columns: Sequence[str] = (), rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """*Worker.* The rows of a part, at most `rows` at once.

    Args:
        part: files side by side.
        columns: which, in that order; none means all.
        rows: of a batch.

    Raises:
        SpecError: there is no such column.
    """
    with ExitStack() as stack:
        files = [pq.ParquetFile(stack.enter_context(storage.open_read(uri))) for uri in part]
        owner = {name: file for file in reversed(files) for name in file.schema_arrow.names}
        names = [name for file in files for name in file.schema_arrow.names if owner[name] is file]
        check_columns(columns, names)
        wanted = list(columns) or names
        mine = [(file, [name for name in wanted if owner[name] is file]) for file in files]
        for tables in zip(*(_blocks(file, some, rows) for file, some in mine if some), strict=True):
            found = {name: table.column(name) for table in tables for name in table.column_names}
            yield from pa.table({name: found[name] for name in wanted}).combine_chunks().to_batches()


def _blocks(file: pq.ParquetFile, columns: list[str], rows: int) -> Iterator[pa.Table]:
    """Tables of exactly `rows` rows, the last one shorter, wherever the file's row groups end."""
    held = pa.schema([file.schema_arrow.field(name) for name in columns]).empty_table()
    for batch in file.iter_batches(rows, columns=columns):
        held = pa.concat_tables([held, pa.Table.from_batches([batch]).select(columns)])
        while held.num_rows >= rows:
            yield held.slice(0, rows)
            held = held.slice(rows)
    if held.num_rows:
        yield held


@dataclass(frozen=True)
class ReadParts:
    """*Worker.* What an executor does for `DataFrame.mapInArrow`: parts in, their rows out; picklable."""

    columns: tuple[str, ...] = ()

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Rows of the parts that a partition lists in its column `part`."""
        for batch in batches:
            for part in batch.column(0).to_pylist():
                yield from part_batches(tuple(part), self.columns)
