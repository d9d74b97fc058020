"""*Anywhere.* Which rows of a dataset of records make which shard, and how they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.row_groups import row_groups

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
    for uri, count in records.sized_files("records"):
        for start in range(0, count, rows):
            found.append(Slice(len(found), uri, start, min(start + rows, count)))
    return found


def read_rows(part: Slice, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """*Worker.* The rows of a slice, a few at a time; row groups that hold none of them are not read."""
    with storage.open_read(part.uri) as stream:
        file = pq.ParquetFile(stream)
        groups, skip = row_groups(file.metadata, part.start, part.stop)
        left = part.stop - part.start
        for batch in file.iter_batches(BATCH_ROWS, row_groups=groups, columns=columns):
            here = batch.slice(skip, left)
            skip, left = max(0, skip - batch.num_rows), left - here.num_rows
            if here.num_rows:
                yield pa.Table.from_batches([here])
