"""*Pure.* The shards of find-duplicates: one for each shard of the embeddings, and behind them the cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.condition.columns import path_to
from clip_spark.datasets.manifest import Manifest, file_of
from clip_spark.index.build.read_vectors import VectorFile, VectorReader


@dataclass(frozen=True)
class Shard:
    """One shard of embeddings; picklable and small.

    Attributes:
        number: of the shard.
        embeddings: URI of the file of vectors; empty if the shard has no rows.
        records: URI of the file of records.
        rows: of both.
        start: position of the first row in the whole set.
    """

    number: int
    embeddings: str
    records: str
    rows: int
    start: int

    def reader(self, dim: int) -> VectorReader:
        """*Worker.* The vectors by position."""
        return VectorReader([VectorFile(self.embeddings, self.start, self.rows)] if self.rows else [], dim)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """*Worker.* The columns that hold what is named (`path_to`); a null one where the file has nothing of it."""
        with storage.open_read(self.records) as stream:
            file = pq.ParquetFile(stream)
            holds = {name: path_to(file.schema_arrow, name)[:1] for name in names}
            table = file.read(columns=list({found for column in holds.values() for found in column}))
        for name, column in holds.items():
            if not column:
                table = table.append_column(name, pa.nulls(self.rows))
        return table


@dataclass(frozen=True)
class ShardSet:
    """All shards of a set, dealt out to at most so many tasks: that of shard s is s modulo `tasks`."""

    shards: tuple[Shard, ...]
    tasks: int

    def of(self, task: int) -> Iterator[Shard]:
        """*Pure.* Those of one task that have rows."""
        return (shard for shard in self.shards[task :: self.tasks] if shard.rows)

    def owners(self, positions: np.ndarray) -> np.ndarray:
        """*Pure.* The shards of positions, int64 (n,)."""
        ends = np.array([shard.start + shard.rows for shard in self.shards], np.int64)
        return np.searchsorted(ends, positions, side="right")


def shards_of(manifest: Manifest) -> tuple[Shard, ...]:
    """*Pure.* The shards of a dataset of embeddings."""
    found, start = [], 0
    for number, receipt in enumerate(manifest.receipts):
        embeddings, records = (
            storage.join(manifest.uri, file_of(receipt, name)) if receipt.rows else ""
            for name in ("embeddings", "records")
        )
        found.append(Shard(number, embeddings, records, receipt.rows, start))
        start += receipt.rows
    return tuple(found)
