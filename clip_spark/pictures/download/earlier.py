"""*Worker.* A shard of an earlier run that is written again: what failed is fetched, or rows are taken out."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.errors import DatasetError
from clip_spark.pictures.download.outcomes import Outcome
from clip_spark.pictures.download.resize import file_ending
from clip_spark.pictures.download.slices import BATCH_ROWS, OWN
from clip_spark.pictures.download.statuses import OK, kind_of
from clip_spark.pictures.formats import picture_format
from clip_spark.pictures.items import Picture
from clip_spark.pictures.table_rows import TablePart
from clip_spark.pictures.tars import TarPart

ALL = "all"


def is_again(status: str, reasons: Collection[str]) -> bool:
    """*Pure.* Whether a row of this status is fetched again for these reasons."""
    return status != OK and (ALL in reasons or kind_of(status) in reasons)


@dataclass(frozen=True)
class OldShard:
    """A shard of an earlier run; picklable.

    Attributes:
        number: it keeps that.
        rows: that it had.
        records: its file of records, of which the rows are read.
        pictures: its pictures.
        reasons: for which a row is fetched again.
        gone: rows that are taken out, rising.
    """

    number: int
    rows: int
    records: str
    pictures: str
    reasons: Collection[str] = ()
    gone: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self.rows - len(self.gone)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of it."""
        return len(self.gone) == self.rows

    def columns(self, _of_new_rows: pa.Schema) -> pa.Schema:
        """Of the records that are written: those that the shard has."""
        with storage.open_read(self.records) as stream:
            return pq.read_schema(stream).remove_metadata()

    def tables(self, columns: Collection[str] = ()) -> Iterator[pa.Table]:
        """The rows that stay, a few at a time, without what the download added; only some columns, or all."""
        for table in self._read():
            names = [name for name in table.column_names if name not in OWN and (not columns or name in columns)]
            yield table.select(names)

    def settled(self) -> set[int]:
        """Positions that keep their outcome."""
        statuses = [status for table in self._read(["status"]) for status in table["status"].to_pylist()]
        return {number for number, status in enumerate(statuses) if not is_again(status, self.reasons)}

    def merged(self, found: Iterator[Outcome]) -> Iterator[Outcome]:
        """New outcomes and kept ones by position."""
        return heapq.merge(self._kept(), found, key=lambda outcome: outcome.position)

    def _read(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        first, gone = 0, np.array(self.gone, np.int64)
        with storage.open_read(self.records) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(BATCH_ROWS, columns=columns):
                stays = ~np.isin(np.arange(first, first + batch.num_rows), gone)
                first += batch.num_rows
                yield pa.Table.from_batches([batch]).filter(pa.array(stays))

    def _kept(self) -> Iterator[Outcome]:
        pictures = (item for item in own_archive(self.pictures).read() if isinstance(item, Picture))
        position = 0
        for table in self._read(["record_id", *OWN]):
            for row in table.to_pylist():
                record_id = row.pop("record_id")
                found = Outcome(position, **row)
                if found.is_stored:
                    data = self._data(pictures, record_id)
                    yield dataclasses.replace(found, data=data, ending=file_ending(picture_format(data)))
                elif not is_again(found.status, self.reasons):
                    yield found
                position += 1

    def _data(self, pictures: Iterator[Picture], record_id: str) -> bytes:
        for picture in pictures:
            if picture.record_id == record_id:
                return picture.data
        raise DatasetError(f"'{self.pictures}' holds no picture of record {record_id}, though its records say so.")


def own_archive(uri: str) -> TarPart | TablePart:
    """*Pure.* A file of pictures of a download."""
    return TarPart(uri, own=True) if uri.endswith(".tar") else TablePart(uri, own=True)
