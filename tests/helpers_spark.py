"""As much of Spark's RDDs as steps use here, in this process: tasks run one by one, and a test may kill one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from itertools import chain
from types import SimpleNamespace
from typing import Any

import pytest

from clip_spark.runtime import tasks


class Partitions:
    """The rows of an RDD by partition; every step is done at once."""

    def __init__(self, parts: Sequence[list[Any]]) -> None:
        self.parts = parts

    def map(self, function: Callable[[Any], Any]) -> Partitions:
        return Partitions([[function(row) for row in part] for part in self.parts])

    def flatMap(self, function: Callable[[Any], Any]) -> Partitions:
        return Partitions([[made for row in part for made in function(row)] for part in self.parts])

    def repartition(self, count: int) -> Partitions:
        rows = self.collect()
        return Partitions([rows[number::count] for number in range(count)])

    def partitionBy(self, count: int, of: Callable[[Any], int]) -> Partitions:
        rows = self.collect()
        return Partitions([[row for row in rows if of(row[0]) % count == number] for number in range(count)])

    def mapPartitions(self, function: Callable[[Any], Any]) -> Partitions:
        return Partitions([list(function(iter(part))) for part in self.parts])

    def mapPartitionsWithIndex(self, function: Callable[[int, Any], Any]) -> Partitions:
        return Partitions([list(function(number, iter(part))) for number, part in enumerate(self.parts)])

    def union(self, other: Partitions) -> Partitions:
        return Partitions([*self.parts, *other.parts])

    def treeReduce(self, function: Callable[[Any, Any], Any]) -> Any:
        return reduce(function, self.collect())

    def collect(self) -> list[Any]:
        return list(chain.from_iterable(self.parts))


def in_this_process(patch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """What gives a session of the kind above; an error of a task reaches the test as it is."""

    @contextmanager
    def job(*_: Any, **__: Any) -> Iterator[None]:
        yield

    patch.setattr(tasks, "job", job)
    return lambda: SimpleNamespace(sparkContext=SimpleNamespace(parallelize=one_by_one))


def one_by_one(items: Sequence[Any], _: int) -> Partitions:
    """Each item in a partition of its own."""
    return Partitions([[item] for item in items])
