"""*Worker.* Rows of parquet and Arrow files (Feather, datasets' cache) in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from clip_spark.texts.corpus import magic

BATCH_ROWS = 10_000
STREAM_END = b"\xff\xff\xff\xff\0\0\0\0"


def table_schema(file: Any, form: str) -> pa.Schema:
    """*Worker.* The columns of a file that can seek; raises ArrowInvalid where it is damaged."""
    if form == magic.PARQUET:
        return pq.ParquetFile(file).schema_arrow
    return _open_arrow(file, form).schema


def batches(file: Any, form: str, columns: list[str] | None = None, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """*Worker.* The rows of a file that can seek.

    Args:
        file: opened for reading.
        form: PARQUET, ARROW or ARROW_STREAM.
        columns: the top-level ones that are wanted; None for all.
        rows: most rows of a batch of parquet.
    """
    if form == magic.PARQUET:
        yield from pq.ParquetFile(file).iter_batches(rows, columns=columns)
        return
    reader = _open_arrow(file, form)
    found = (reader.get_batch(i) for i in range(reader.num_record_batches)) if form == magic.ARROW else reader
    for batch in found:
        batch.validate(full=True)  # offsets of a garbled file lead out of its memory
        yield batch.select(columns) if columns is not None else batch
    if form == magic.ARROW_STREAM:
        _check_end(file)


def _check_end(file: Any) -> None:
    """A stream that was cut between two batches is told by the mark that it lacks."""
    file.seek(-len(STREAM_END), 2)
    if file.read() != STREAM_END:
        raise pa.ArrowInvalid("the stream ends without its mark: it is cut short")


def _open_arrow(file: Any, form: str) -> Any:
    file.seek(0)  # a stream was read up to its first batch by who wanted its columns
    return pa.ipc.open_file(file) if form == magic.ARROW else pa.ipc.open_stream(file)
