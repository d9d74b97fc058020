"""*Anywhere.* Which rows of a dataset of records make which shard, and how they are read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.row_groups import row_groups
from clip_spark.pictures.download.outcomes import FIELDS

BATCH_ROWS = 256
OWN = tuple(name for name, _ in FIELDS)


@dataclass(frozen=True)
class Slice:
    """Rows `start` to `stop` of a file of records; of these only `rows`, rising, if there are any."""

    uri: str
    start: int
    stop: int
    rows: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.rows) or self.stop - self.start


@dataclass(frozen=True)
class NewShard:
    """Rows that no run has fetched yet."""

    number: int
    slices: tuple[Slice, ...]

    def __len__(self) -> int:
        return sum(map(len, self.slices))

    def columns(self, of_new_rows: pa.Schema) -> pa.Schema:
        """Of the records that are written."""
        return of_new_rows

    def tables(self, columns: Collection[str] = ()) -> Iterator[pa.Table]:
        """The rows, a few at a time, their columns as a download calls them; only some columns, or all."""
        for part in self.slices:
            for table in read_rows(part, columns):
                yield table.rename_columns([own_name(name) for name in table.column_names])


def own_name(name: str) -> str:
    """*Pure.* What a column of the records is called beside those that a download adds."""
    return schema.own_name(name, OWN)


def whole(records: Manifest) -> Iterator[tuple[str, np.ndarray]]:
    """*Driver.* All rows of records, for `cut`."""
    return ((uri, np.arange(rows)) for uri, rows in records.sized_files("records"))


def cut(wanted: Iterable[tuple[str, np.ndarray]], most: int, first: int = 0) -> list[NewShard]:
    """*Pure.* Shards of `most` rows each, the last of what is left; numbered from `first`.

    Args:
        wanted: URIs of files of records with the numbers of some of their rows, rising.
        most: rows of a shard.
        first: its number.
    """
    shards: list[list[Slice]] = []
    room = 0
    for uri, rows in wanted:
        at = 0
        while at < len(rows):
            if not room:
                shards.append([])
                room = most
            taken = rows[at : at + room]
            shards[-1].append(_slice(uri, taken))
            at, room = at + len(taken), room - len(taken)
    return [NewShard(number, tuple(slices)) for number, slices in enumerate(shards, first)]


def _slice(uri: str, rows: np.ndarray) -> Slice:
    start, stop = int(rows[0]), int(rows[-1]) + 1
    return Slice(uri, start, stop, () if stop - start == len(rows) else tuple(rows.tolist()))


def read_rows(part: Slice, columns: Collection[str] = ()) -> Iterator[pa.Table]:
    """*Worker.* The rows of a slice, a few at a time; row groups that hold none of them are not read.

    Args:
        part: which rows.
        columns: those of them that are wanted, by the names that a download gives them; none means all.
    """
    with storage.open_read(part.uri) as stream:
        file = pq.ParquetFile(stream)
        names = [name for name in file.schema_arrow.names if not columns or own_name(name) in columns]
        groups, skip = row_groups(file.metadata, part.start, part.stop)
        at, stop = part.start - skip, part.stop
        for batch in file.iter_batches(BATCH_ROWS, row_groups=groups, columns=names):
            here = _wanted(part, at, min(stop, at + batch.num_rows))
            if len(here):
                yield pa.Table.from_batches([batch]).take(pa.array(here - at))
            at += batch.num_rows


def _wanted(part: Slice, start: int, stop: int) -> np.ndarray:
    """The rows of a slice that lie between two numbers."""
    if not part.rows:
        return np.arange(max(start, part.start), stop)
    rows = np.asarray(part.rows)
    return rows[(rows >= start) & (rows < stop)]
