"""*Worker.* Third pass: the records of each component side by side, compared exactly, and put into groups.

task of a shard --(vectors by component)--> groups --(rows)--> the tasks of the shards of their records
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.analysis.duplicates.cells import CORE, split_by
from clip_spark.analysis.duplicates.compare import Component
from clip_spark.analysis.duplicates.groups import groups_of
from clip_spark.analysis.duplicates.order import Order
from clip_spark.analysis.duplicates.same import Taken, Thing
from clip_spark.analysis.duplicates.shards import ShardSet
from clip_spark.datasets import schema


@dataclass(frozen=True)
class Loaded:
    """Records that are grouped.

    Attributes:
        components: their numbers, int64 (m,).
        positions: int64 (m,).
        values: that decide which is better, float64 (m,).
        ids: record ids, object (m,).
        vectors: float32 (m, d).
        things: those of several records among them.
    """

    components: np.ndarray
    positions: np.ndarray
    values: np.ndarray
    ids: np.ndarray
    vectors: np.ndarray
    things: tuple[Thing, ...]


@dataclass(frozen=True)
class Rows:
    """Rows of groups: positions (int64), ids of the kept (object), sizes (int64), kept positions (int64), and cosines
    (float32), (m,) each."""

    positions: np.ndarray
    groups: np.ndarray
    sizes: np.ndarray
    kept: np.ndarray
    cosines: np.ndarray


@dataclass(frozen=True)
class Others:
    """The other records of a thing, of a group; `vector` (float32 (d,)) of the kept one gives their cosines."""

    positions: np.ndarray
    group: str
    size: int
    kept: int
    vector: np.ndarray


@dataclass(frozen=True)
class LoadComponents:
    """*Worker.* The records that are grouped, out of a task's shards, by the task that groups them; picklable."""

    dim: int
    order: Order
    shards: ShardSet
    tasks: int

    def __call__(
        self, task: int, known: Iterable[tuple[int, Thing | Taken | Component]]
    ) -> Iterator[tuple[int, Loaded]]:
        """(Number of the task of a component, records)."""
        told = [one for _, one in known]
        things = {one.best: one for one in told if isinstance(one, Thing)}
        wanted = [one for one in told if isinstance(one, Component)]
        positions = np.concatenate([np.empty(0, np.int64), *(one.positions for one in wanted)])
        components = np.concatenate([np.empty(0, np.int64), *(one.components for one in wanted)])
        for shard in self.shards.of(task):
            mine = np.flatnonzero((positions >= shard.start) & (positions < shard.start + shard.rows))
            mine = mine[np.argsort(positions[mine])]
            at, numbers = positions[mine], components[mine]
            if not len(at):
                continue
            vectors, values = shard.reader(self.dim).take(at), self.order.values(shard)[at - shard.start]
            ids = record_ids(shard.embeddings, at - shard.start)
            for owner, rows in split_by(numbers % self.tasks, np.arange(len(at))):
                several = tuple(things[one] for one in at[rows].tolist() if one in things)
                yield owner, Loaded(numbers[rows], at[rows], values[rows], ids[rows], vectors[rows], several)


def record_ids(embeddings: str, rows: np.ndarray) -> np.ndarray:
    """*Worker.* The ids of some rows of a shard, object (m,)."""
    with storage.open_read(embeddings) as stream:
        ids = pq.read_table(stream, columns=[schema.RECORD_ID]).column(0)
    return np.asarray(ids.take(pa.array(rows)).to_numpy(zero_copy_only=False), dtype=object)


@dataclass(frozen=True)
class GroupComponents:
    """*Worker.* The groups of the components of one task; picklable."""

    threshold: float
    shards: ShardSet

    def __call__(self, parts: Iterable[tuple[int, Loaded]]) -> Iterator[tuple[int, Rows | Others]]:
        """(Number of the task of a shard, rows)."""
        found = [one for _, one in parts]
        if not found:
            return
        components, positions, values, ids, vectors = (
            np.concatenate([getattr(one, name) for one in found])
            for name in ("components", "positions", "values", "ids", "vectors")
        )
        things = tuple(thing for one in found for thing in one.things)
        loaded = Loaded(components, positions, values, ids, vectors, things)
        del found
        yield from self._rows(loaded, *self._grouped(loaded))

    def _grouped(self, loaded: Loaded) -> tuple[np.ndarray, np.ndarray]:
        """For each record the row of the kept one, and the cosine with it."""
        order = np.lexsort((loaded.positions, -loaded.values))
        crowds = {thing.best for thing in loaded.things if thing.crowd}
        lies = 2 * float(np.arccos(self.threshold)) / CORE
        slack = np.array([lies if at in crowds else 0.0 for at in loaded.positions.tolist()])
        kept, cosines = np.arange(len(order)), np.ones(len(order), np.float32)
        for _, rows in split_by(loaded.components[order], order):
            if len(rows) > 1:
                first, cosines[rows] = groups_of(loaded.vectors[rows], slack[rows], self.threshold)
                kept[rows] = rows[first]
        return kept, cosines

    def _rows(self, loaded: Loaded, kept: np.ndarray, cosines: np.ndarray) -> Iterator[tuple[int, Rows | Others]]:
        sizes, at = (
            np.bincount(kept, minlength=len(kept)),
            {one: row for row, one in enumerate(loaded.positions.tolist())},
        )
        several = [(thing, kept[at[thing.best]]) for thing in loaded.things]
        for thing, first in several:
            sizes[first] += len(thing.others)
        rows = np.flatnonzero(sizes[kept] > 1)
        for task, mine in split_by(self._tasks(loaded.positions[rows]), rows):
            first = kept[mine]
            yield (
                task,
                Rows(loaded.positions[mine], loaded.ids[first], sizes[first], loaded.positions[first], cosines[mine]),
            )
        for thing, first in several:
            group = (loaded.ids[first], int(sizes[first]), int(loaded.positions[first]), loaded.vectors[first])
            for task, others in split_by(self._tasks(thing.others), thing.others):
                yield task, Others(others, *group)

    def _tasks(self, positions: np.ndarray) -> np.ndarray:
        return self.shards.owners(positions) % self.shards.tasks
