"""*Driver.* The passes of find-duplicates, as one chain of shuffles, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from clip_spark import storage
from clip_spark.analysis.duplicates.cells import CELL_ROWS
from clip_spark.analysis.duplicates.cells_file import TakeSample, TrainCells
from clip_spark.analysis.duplicates.compare import CompareCells, Connect, DealToCells, lone_links
from clip_spark.analysis.duplicates.gather import GroupComponents, LoadComponents
from clip_spark.analysis.duplicates.order import Order
from clip_spark.analysis.duplicates.report import PAGES, DrawPages, Group, LargestGroups, MembersOf, best_of
from clip_spark.analysis.duplicates.same import FindThings, ReadKeys
from clip_spark.analysis.duplicates.shards import Shard, ShardSet
from clip_spark.analysis.duplicates.spec import DuplicatesSpec
from clip_spark.analysis.duplicates.write import WriteGroups
from clip_spark.datasets.manifest import Manifest, file_of
from clip_spark.datasets.receipt import sum_up
from clip_spark.datasets.run import Run
from clip_spark.datasets.sizes import size_bytes
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import MOST_TASKS, collect, map_items, spread

STEP = "find-duplicates"
SHARE = 4
"""A task holds this many times its vectors: as they came, side by side, and their products."""
COPIES = 4
"""Tables, about: in each of them a record is sent to its cell."""
KEY_ROW_BYTES = 200


@dataclass(frozen=True)
class DuplicatesWork:
    """*Driver.* One run.

    Attributes:
        get_spark: the session.
        spec: what was asked for.
        run: from `begin_run`.
        found: the manifest of the embeddings.
        shards: of the embeddings.
        order: which of several records is kept.
    """

    get_spark: SessionSource
    spec: DuplicatesSpec
    run: Run
    found: Manifest
    shards: tuple[Shard, ...]
    order: Order

    def done(self) -> Manifest:
        """Do what is left, and make it official."""
        if pending := set(self.run.pending()):
            self._train(pending)
            if pending - {len(self.shards)}:
                self._group()
        return self._commit()

    @property
    def _plan(self) -> str:
        return self.run.plan.fingerprint

    @property
    def _dim(self) -> int:
        return int(self.found.extra["dim"])

    def _train(self, pending: set[int]) -> None:
        """Cells, on a sample, in one task."""
        number = len(self.shards)
        if number in pending and self.found.rows:
            parts = spread(self.get_spark(), self.shards).flatMap(TakeSample(self.found.rows, self._dim)).repartition(1)
            train = TrainCells(self.run.output, self._plan, number, self.found.rows, self.spec.threshold)
            collect(self.get_spark(), STEP, parts.mapPartitions(train), number + 1)

    def _tasks(self, bytes_in_all: float) -> int:
        """How many tasks so many bytes need, each of which holds its share several times."""
        return max(1, round(0.5 + bytes_in_all * SHARE / size_bytes("task-memory", self.spec.task_memory)))

    @cached_property
    def _cells(self) -> str:
        receipt = next(one for one in self.run.receipts() if one.shard == len(self.shards))
        return storage.join(self.run.output, file_of(receipt, "cells"))

    def _group(self) -> None:
        """The three passes; nothing of the size of the set comes to the driver."""
        rows, shards = self.found.rows, ShardSet(self.shards, min(len(self.shards), MOST_TASKS))
        keys, near = self._tasks(rows * KEY_ROW_BYTES), self._tasks(rows * COPIES * 2 * self._dim)
        near, groups = min(near, -(-rows // CELL_ROWS)), self._tasks(rows * 4 * self._dim)
        read = spread(self.get_spark(), self.shards).flatMap(ReadKeys(self._cells, self._dim, self.order, keys))
        known = _by_task(read, keys).mapPartitions(FindThings(shards))
        known = _by_task(known, shards.tasks)
        dealt = known.mapPartitionsWithIndex(DealToCells(self._cells, self._dim, shards, near))
        links = (
            _by_task(dealt, near)
            .mapPartitions(CompareCells(self.spec.threshold))
            .union(known.mapPartitions(lone_links))
        )
        components = _by_task(links, 1).mapPartitions(Connect(shards, groups))
        load = LoadComponents(self._dim, self.order, shards, groups)
        loaded = _by_task(components.union(known), shards.tasks).mapPartitionsWithIndex(load)
        rows_of = _by_task(loaded, groups).mapPartitions(GroupComponents(self.spec.threshold, shards))
        write = WriteGroups(self.run.output, self._plan, self._dim, shards)
        written = _by_task(rows_of, shards.tasks).mapPartitionsWithIndex(write)
        collect(self.get_spark(), STEP, written, 4 * len(self.shards) + keys + near + groups + 1)

    def _commit(self) -> Manifest:
        receipts = self.run.receipts()
        counters = sum_up(receipt.counters for receipt in receipts)
        grouped, groups = sum(receipt.rows for receipt in receipts), int(counters["groups"])
        largest = self._pages() if groups else 0
        extra: dict[str, Any] = {
            "records": self.found.rows,
            "groups": groups,
            "grouped": grouped,
            "others": grouped - groups,
            "largest": largest,
            "cells": int(counters["cells"]),
            "tables": int(counters["tables"]),
            "pairs_together": counters["pairs_together_ppm"] / 1e6,
            "threshold": self.spec.threshold,
        }
        return self.run.commit(extra, partial(_with_figures, extra), beside=PAGES)

    def _pages(self) -> int:
        """Draw the largest groups; returns the size of the largest."""
        spark, count, output = self.get_spark(), max(1, self.spec.examples), self.run.output
        listed = map_items(spark, STEP, self.shards, LargestGroups(output, count))
        best: Sequence[Group] = sorted(group for groups in listed for group in groups)[:count]
        shown = best[: self.spec.examples]
        members: dict[str, list[Any]] = {group: [] for _, group in shown}
        for part in map_items(spark, STEP, self.shards, MembersOf(output, tuple(members))) if shown else ():
            for group, some in part.items():
                members[group] = best_of([*members[group], *some])
        groups = tuple((-size, members[group]) for size, group in shown)
        title = f"near-duplicates of {self.found.uri}"
        map_items(spark, STEP, [title], DrawPages(output, groups, self.found.extra["modality"] == "image"))
        return -best[0][0]


def _by_task(rows: Any, tasks: int) -> Any:
    """*Driver.* Pairs at the tasks that their first values name."""
    return rows.partitionBy(tasks, int)


def _with_figures(extra: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    """*Pure.* A report that says what was found."""
    return {**report, **extra}
