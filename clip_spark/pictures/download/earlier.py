"""*Worker.* What an earlier run has of a shard, when only what failed is fetched again."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.errors import DatasetError
from clip_spark.pictures.download.outcomes import FIELDS, Outcome
from clip_spark.pictures.download.slices import BATCH_ROWS
from clip_spark.pictures.download.statuses import OK, kind_of
from clip_spark.pictures.formats import ending
from clip_spark.pictures.tars import Member, TarPart

ALL = "all"


@dataclass(frozen=True)
class Earlier:
    """The files of a shard of an earlier run, and the reasons for which a row is fetched again."""

    records: str
    pictures: str
    reasons: Collection[str]

    def is_again(self, status: str) -> bool:
        """Whether a row of this status is fetched again."""
        return status != OK and (ALL in self.reasons or kind_of(status) in self.reasons)

    def settled(self) -> set[int]:
        """Positions that keep their outcome."""
        with storage.open_read(self.records) as stream:
            statuses = pq.read_table(stream, columns=["status"])["status"].to_pylist()
        return {number for number, status in enumerate(statuses) if not self.is_again(status)}

    def merged(self, found: Iterator[Outcome]) -> Iterator[Outcome]:
        """New outcomes and kept ones by position."""
        return heapq.merge(self._kept(), found, key=lambda outcome: outcome.position)

    def _kept(self) -> Iterator[Outcome]:
        pictures = (member for member in TarPart(self.pictures).members() if isinstance(member, Member))
        position, columns = 0, ["record_id", *(name for name, _ in FIELDS)]
        with storage.open_read(self.records) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(BATCH_ROWS, columns=columns):
                for row in batch.to_pylist():
                    record_id = row.pop("record_id")
                    if row["status"] == OK:
                        picture = self._picture(pictures, record_id)
                        yield Outcome(position, **row, ending=ending(picture.name), data=picture.data)
                    elif not self.is_again(row["status"]):
                        yield Outcome(position, **row)
                    position += 1

    def _picture(self, members: Iterator[Member], record_id: str) -> Member:
        for member in members:
            if member.name.startswith(record_id + ".") and member.is_picture:
                return member
        raise DatasetError(f"'{self.pictures}' holds no picture of record {record_id}, though its records say so.")
