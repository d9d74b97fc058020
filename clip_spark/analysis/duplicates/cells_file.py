"""*Worker.* The cells of a run: trained by one task on a sample, kept beside the groups, opened once per process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.analysis.duplicates.cells import Cells, sample_rows, train_cells
from clip_spark.analysis.duplicates.shards import Shard
from clip_spark.analysis.map.sample import hashes, share_to_take, smallest
from clip_spark.datasets import schema
from clip_spark.datasets.receipt import has_receipt
from clip_spark.datasets.shards import ShardWriter

CELLS = "cells"
Sampled = tuple[np.ndarray, list[str], np.ndarray]
"""Hashes float64 (m,), ids, and vectors float32 (m, d) of rows of one shard that may be in the sample."""


@dataclass(frozen=True)
class TakeSample:
    """*Worker.* The rows of a shard whose hashes are small enough; picklable."""

    rows: int
    dim: int

    def __call__(self, shard: Shard) -> Iterator[Sampled]:
        """At most one part; only the row groups that hold some of it are read."""
        if not shard.rows:
            return
        with storage.open_read(shard.embeddings) as stream:
            ids = pq.read_table(stream, columns=[schema.RECORD_ID]).column(0)
        found = hashes(ids, 0)
        rows = np.flatnonzero(found < share_to_take(self.rows, sample_rows(self.rows)))
        if len(rows):
            vectors = shard.reader(self.dim).take(shard.start + rows)
            yield found[rows], ids.take(pa.array(rows)).to_pylist(), vectors


@dataclass(frozen=True)
class TrainCells:
    """*Worker.* Trains the cells on all parts of the sample and writes them as a shard; picklable."""

    output: str
    plan: str
    number: int
    rows: int
    threshold: float

    def __call__(self, parts: Iterable[Sampled]) -> Iterator[int]:
        """Write them, unless a task has done so; gives their number."""
        if has_receipt(self.output, self.number):
            return
        found = list(parts)
        ids = [name for _, names, _ in found for name in names]
        order = smallest(np.concatenate([one for one, _, _ in found]), ids, sample_rows(self.rows))
        sample = np.concatenate([vectors for _, _, vectors in found])[order]
        with ShardWriter(self.output, self.plan, self.number, {}) as writer:
            with writer.watch("train"):
                cells = train_cells(sample, self.rows, self.threshold)
            writer.counters.update(cells=cells.count, tables=len(cells.tables), crowds=len(cells.hubs))
            writer.counters["pairs_together_ppm"] = round(cells.together * 1e6)
            writer.attach(CELLS, "npz", cells.to_bytes())
            writer.finish()
        yield cells.count


@lru_cache(1)
def open_cells(uri: str) -> Cells:
    """*Worker.* The cells in a file."""
    return Cells.from_bytes(storage.read_bytes(uri))
