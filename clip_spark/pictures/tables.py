"""*Worker.* Tables that hold pictures: parquet, Feather, Arrow files and streams (as datasets caches them).

What a table is, is told by its first bytes. Arrow's batches are as large as they were written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from clip_spark.datasets.row_groups import row_groups

BATCH_ROWS = 64
"""Rows of pictures in memory at once, as Python has them."""
ARROW_FILE, ARROW_STREAM, STREAM_END = b"ARROW1", b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\0\0\0\0"


class Table(Protocol):
    """A table with columns of pictures, opened."""

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Its rows in order, at most BATCH_ROWS at a time."""

    def cell(self, number: int, column: str) -> Any:
        """One value; raises KeyError where there is no such row."""


def open_table(stream: Any) -> Table:
    """*Worker.* The table in a file that can seek; raises pa.ArrowInvalid where it is none, or damaged."""
    import pyarrow.parquet as pq

    head = stream.read(len(ARROW_FILE))
    stream.seek(0)
    if head.startswith(ARROW_FILE):
        reader = pa.ipc.open_file(stream)
        return ArrowTable(reader.schema, (reader.get_batch(n) for n in range(reader.num_record_batches)))
    if head.startswith(ARROW_STREAM):
        batches = pa.ipc.open_stream(stream)
        return ArrowTable(batches.schema, _whole(batches, stream))
    return ParquetTable(pq.ParquetFile(stream))


def _whole(batches: Any, stream: Any) -> Iterator[pa.RecordBatch]:
    """The batches of a stream; one that was cut between two of them is told by the mark that it lacks."""
    yield from batches
    stream.seek(-len(STREAM_END), 2)
    if stream.read() != STREAM_END:
        raise pa.ArrowInvalid("the stream ends without its mark: it is cut short")


@dataclass(frozen=True)
class ParquetTable:
    """A parquet file."""

    file: Any

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""
        return self.file.schema_arrow

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Its rows in order."""
        yield from self.file.iter_batches(batch_size=BATCH_ROWS)

    def cell(self, number: int, column: str) -> Any:
        """One value; only its row group is read."""
        groups, skip = row_groups(self.file.metadata, number, number + 1)
        if not groups:
            raise KeyError(number)
        return self.file.read_row_groups(groups, columns=[column]).column(0)[skip].as_py()


@dataclass(frozen=True)
class ArrowTable:
    """An Arrow file or stream."""

    schema: pa.Schema
    found: Iterator[pa.RecordBatch]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Its rows in order."""
        for batch in self.found:
            batch.validate(full=True)  # offsets of a garbled file lead out of its memory
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield batch.slice(start, BATCH_ROWS)

    def cell(self, number: int, column: str) -> Any:
        """One value; the batches before it are passed over."""
        for batch in self.found:
            if number < batch.num_rows:
                batch.validate(full=True)
                return batch.column(column)[number].as_py()
            number -= batch.num_rows
        raise KeyError(number)
