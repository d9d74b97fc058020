"""*Worker.* Which live records of an index fulfil a condition: they are streamed through it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from clip_spark.datasets.condition.binding import Bound
from clip_spark.datasets.condition.evaluate import SECONDS, matching, numbered
from clip_spark.index.open.records import RecordReader


def matching_positions(
    bound: Bound, records: RecordReader, live: np.ndarray | None, seconds: float = SECONDS
) -> np.ndarray:
    """*Worker.* Positions, int64, of the live records that fulfil a condition.

    Args:
        bound: the condition.
        records: of the index.
        live: bool (rows,), false for what was taken down; None means that all are live.
        seconds: the longest that it may take.

    Raises:
        SpecError: it takes too long or too much memory, or cannot be computed on a record.
    """
    end = time.monotonic() + seconds
    batches = _batches(bound, records, live, end)
    first = next(batches, None)
    if first is None:
        return np.empty(0, np.int64)
    reader = pa.RecordBatchReader.from_batches(first.schema, _after(first, batches))
    return matching(bound, reader, end)


def _batches(bound: Bound, records: RecordReader, live: np.ndarray | None, end: float) -> Iterator[pa.RecordBatch]:
    schema = records.schema
    for start, batch in records.batches(bound.may_lie_in()):
        if time.monotonic() >= end:
            raise TimeoutError
        table = numbered(bound, schema, batch, start)
        alive = None if live is None else live[start : start + batch.num_rows]
        yield table if alive is None or alive.all() else table.filter(pa.array(alive))


def _after(first: pa.RecordBatch, others: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from others
