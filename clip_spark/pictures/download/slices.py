"""*Anywhere.* Which rows of a dataset of records make which shard, and how they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest

BATCH_ROWS = 256


@dataclass(frozen=True)
class Slice:
    """Rows `start` to `stop` of a file of records; the shard `number`."""

    number: int
    uri: str
    start: int
    stop: int


def cut(records: Manifest, rows: int) -> list[Slice]:
    """*Driver.* The shards: at most `rows` rows each, of one file each."""
    found: list[Slice] = []
    uris = records.files("records")
    for uri, receipt in zip(uris, (r for r in records.receipts if r.files), strict=True):
        for start in range(0, receipt.rows, rows):
            found.append(Slice(len(found), uri, start, min(start + rows, receipt.rows)))
    return found


def read_rows(part: Slice, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """*Worker.* The rows of a slice, a few at a time."""
    with storage.open_read(part.uri) as stream:
        at = 0
        for batch in pq.ParquetFile(stream).iter_batches(BATCH_ROWS, columns=columns):
            first, last = max(part.start - at, 0), min(part.stop - at, batch.num_rows)
            if first < last:
                yield pa.Table.from_batches([batch.slice(first, last - first)])
            at += batch.num_rows
            if at >= part.stop:
                return
