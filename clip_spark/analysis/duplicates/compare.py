"""*Worker.* Second pass: records of one cell are compared with each other, and what hangs together is put together.

task of a shard --(records by cell)--> cells: near pairs --> one task: components --> the shards of their records
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from clip_spark.analysis.duplicates.cells import split_by
from clip_spark.analysis.duplicates.cells_file import open_cells
from clip_spark.analysis.duplicates.near import connected, linked
from clip_spark.analysis.duplicates.same import Taken, Thing
from clip_spark.analysis.duplicates.shards import ShardSet
from clip_spark.runtime.row_counts import count_rows

MOST_TOGETHER = 16_384
"""Records of one component that one task groups; a larger one is cut where its cells end."""


@dataclass(frozen=True)
class InCells:
    """Records with their cells: positions and cells int64 (m,), vectors float16 (m, d)."""

    positions: np.ndarray
    cells: np.ndarray
    vectors: np.ndarray


@dataclass(frozen=True)
class Linked:
    """Records that hang together with another: positions, that other's positions, and cells, int64 (m,) each."""

    positions: np.ndarray
    others: np.ndarray
    cells: np.ndarray


@dataclass(frozen=True)
class Component:
    """Records of one shard that are grouped: positions and numbers of components, int64 (m,) each."""

    positions: np.ndarray
    components: np.ndarray


@dataclass(frozen=True)
class DealToCells:
    """*Worker.* The records of a task's shards that go on, by the task that compares their cells; picklable."""

    cells: str
    dim: int
    shards: ShardSet
    tasks: int

    def __call__(self, task: int, known: Iterable[tuple[int, Thing | Taken]]) -> Iterator[tuple[int, InCells]]:
        """(Number of the task of a cell, records)."""
        cells = open_cells(self.cells)
        taken = np.concatenate([np.empty(0, np.int64), *(one.positions for _, one in known if isinstance(one, Taken))])
        for shard in self.shards.of(task):
            for first, vectors in shard.reader(self.dim).blocks():
                rows = np.flatnonzero(~np.isin(np.arange(first, first + len(vectors)), taken))
                mine, small = cells.of(vectors[rows]), vectors[rows].astype(np.float16)
                for table in mine.T:
                    for owner, some in split_by(table * self.tasks // cells.count, np.arange(len(rows))):
                        yield owner, InCells(first + rows[some], table[some], small[some])
                count_rows(len(vectors))


@dataclass(frozen=True)
class CompareCells:
    """*Worker.* The near pairs in the cells of one task, as few links as connect them; picklable."""

    threshold: float

    def __call__(self, parts: Iterable[tuple[int, InCells]]) -> Iterator[tuple[int, Linked]]:
        """(0, links): one task gets all of them."""
        found = [one for _, one in parts]
        if not found:
            return
        cells, positions = (np.concatenate([getattr(one, name) for one in found]) for name in ("cells", "positions"))
        vectors = np.concatenate([one.vectors for one in found])
        del found
        for cell, rows in split_by(cells, np.arange(len(cells))):
            rows = rows[np.argsort(positions[rows])]
            first = linked(vectors[rows].astype(np.float32), self.threshold)
            some = np.flatnonzero(first != np.arange(len(rows)))
            if len(some):
                mine = positions[rows]
                yield 0, Linked(mine[some], mine[first[some]], np.full(len(some), cell))


def lone_links(known: Iterable[tuple[int, Thing | Taken]]) -> Iterator[tuple[int, Linked]]:
    """*Worker.* Things of several records, linked with themselves: they are groups even where nothing else is near."""
    best = np.array([one.best for _, one in known if isinstance(one, Thing)], np.int64)
    if len(best):
        yield 0, Linked(best, best, np.zeros(len(best), np.int64))


@dataclass(frozen=True)
class Connect:
    """*Worker.* Components of all links, dealt out to the tasks that group them; picklable.

    It holds some 40 bytes for each record that has a near one, and nothing of the others.

    Attributes:
        shards: of the set.
        tasks: that group.
    """

    shards: ShardSet
    tasks: int

    def __call__(self, parts: Iterable[tuple[int, Linked]]) -> Iterator[tuple[int, Component]]:
        """(Number of the task of a shard, its records with their components); task c mod n groups component c."""
        found = [one for _, one in parts]
        if not found:
            return
        one, two, cells = (
            np.concatenate([getattr(f, name) for f in found]) for name in ("positions", "others", "cells")
        )
        del found
        positions = np.unique(np.concatenate([one, two]))
        at, other = np.searchsorted(positions, one), np.searchsorted(positions, two)
        labels = connected(np.arange(len(positions)), at, other)
        inside = np.full(len(positions), np.iinfo(np.int64).max)
        np.minimum.at(inside, np.concatenate([at, other]), np.tile(cells, 2))
        components = numbered(labels, inside, self.tasks)
        owners = self.shards.owners(positions) % self.shards.tasks
        for task, rows in split_by(owners, np.arange(len(positions))):
            yield task, Component(positions[rows], components[rows])


def numbered(labels: np.ndarray, cells: np.ndarray, tasks: int) -> np.ndarray:
    """*Pure.* Numbers of components, so that those of each task (the number modulo `tasks`) have about as many records.

    Args:
        labels: of each record, int64 (n,).
        cells: of each, int64 (n,): where components that are too large are cut.
        tasks: how many.
    """
    order = np.lexsort((cells, labels))
    starts = np.flatnonzero(np.concatenate([[True], np.diff(labels[order]) != 0]))
    sizes = np.diff(np.append(starts, len(order)))
    inside = np.arange(len(order)) - np.repeat(starts, sizes)
    parts = np.repeat(starts, sizes) + inside // MOST_TOGETHER * MOST_TOGETHER
    serial = np.cumsum(np.concatenate([[0], np.diff(parts) != 0]))
    share = np.minimum(parts * tasks // max(len(order), 1), tasks - 1)
    found = np.empty(len(order), np.int64)
    found[order] = serial * tasks + share
    return found
