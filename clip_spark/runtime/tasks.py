"""*Driver.* The one way into Spark: work on items, one task for each, and one sentence for what fails there.

run_shards   work that leaves a shard and its receipt in the store
map_items    work whose small results the driver wants
reduce_items the same, merged in a tree on the executors
collect      a few small rows at the end of a shuffle
job          whatever else starts jobs: a name, a progress line, one sentence for an error
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.receipt_files import ReadMany, read_many
from clip_spark.errors import TaskError, UserError
from clip_spark.runtime.causes import root_cause, was_interrupted
from clip_spark.runtime.memory import tidy
from clip_spark.runtime.progress import watch_progress
from clip_spark.runtime.row_counts import tell_rows
from clip_spark.runtime.session import SessionSource, name_jobs

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Item = TypeVar("Item")
Made = TypeVar("Made")
MOST_TASKS = 20_000
"""Spark's driver keeps each task in memory; beyond this a task takes several shards."""
MANY_FILES, CHUNK_FILES = 20_000, 2_000
"""So many receipts are read on the executors, so many by one task; fewer take the driver some ten seconds."""

RESUMES = "Finished shards are kept; run the same command again to go on."


@dataclass(frozen=True)
class Planned:
    """What the tasks of a step will do, before any folder is taken.

    Attributes:
        plan: the plan.
        items: one for each shard, by number.
        work: (output, threads of a task or 0) -> the picklable function that makes the shard of an item there.
        extra: what the manifest remembers, as far as it is known before.
    """

    plan: Plan
    items: Sequence[Any]
    work: Callable[[str, int], Callable[[Any], Receipt]]
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Failure:
    """The message of a mistake that no retry can mend; all that a task ever sends back."""

    message: str


@dataclass(frozen=True)
class _Work:
    """*Worker.* Runs the step's function on each item; picklable."""

    function: Callable[[Any], object]

    def __call__(self, item: Any) -> list[_Failure]:
        try:
            self.function(item)
        except UserError as error:
            return [_Failure(str(error))]
        finally:
            tell_rows()
            tidy()
        return []


def run_shards(
    spark: SparkSession,
    step: str,
    items: Sequence[Item],
    work: Callable[[Item], object],
    profile: Any = None,
    rows: int = 0,
) -> None:
    """*Driver.* Run `work` once for each item on the executors; the receipts are in the store, not sent to the driver.

    Args:
        spark: the session.
        step: name for the Spark UI and the progress line, such as "embed-text".
        items: what the tasks get; one shard each, picklable and small.
        work: picklable; writes its shard and the receipt; run again after a failure.
        profile: a Spark ResourceProfile for tasks that need a GPU, else None.
        rows: of all items, if that is known: the progress line then says how long it still takes.

    Raises:
        UserError: a task found a mistake that no retry can mend.
        TaskError: a task failed more often than Spark allows; finished shards stay, run again to go on.
    """
    if not items:
        return
    rdd = spread(spark, items).flatMap(_Work(work))
    if profile is not None:
        rdd = rdd.withResources(profile)
    with job(spark, step, len(items), rows=rows):
        failures = rdd.collect()
    for failure in failures:
        raise UserError(failure.message)


def map_items(
    spark: SparkSession, step: str, items: Sequence[Item], work: Callable[[Item], Made], after: str = RESUMES
) -> list[Made]:
    """*Driver.* What `work` (picklable) makes of each item, in order, one task for each; the results must be small.

    Raises:
        TaskError: a task failed more often than Spark allows; `after` says what state that leaves.
    """
    return collect(spark, step, spread(spark, items).map(work), len(items), after) if items else []


def reduce_items(
    spark: SparkSession, step: str, items: Sequence[Item], work: Callable[[Item], Made], merge: Callable[..., Made]
) -> Made:
    """*Driver.* The same, merged by twos in a tree on the executors, so that the driver gets one result.

    Raises:
        TaskError: as `map_items`.
    """
    with job(spark, step, len(items)):
        return spread(spark, items).map(work).treeReduce(merge)


def spread(spark: SparkSession, items: Sequence[Any]) -> Any:
    """*Driver.* Items as an RDD, one in each task."""
    return spark.sparkContext.parallelize(items, min(len(items), MOST_TASKS))


def collect(spark: SparkSession, step: str, rdd: Any, total: int, after: str = RESUMES) -> list[Any]:
    """*Driver.* The elements of an RDD; they must be few and small.

    Args:
        spark: the session.
        step: name for the Spark UI and the progress line.
        rdd: what to compute.
        total: how many tasks the progress line counts to.
        after: what an error says of the state that the run leaves.

    Raises:
        TaskError: a task failed more often than Spark allows.
    """
    with job(spark, step, total, after):
        return rdd.collect()


@contextmanager
def job(spark: SparkSession, step: str, total: int, after: str = RESUMES, rows: int = 0) -> Iterator[None]:
    """*Driver.* The jobs of a step, started inside the block: they end with it, whatever happens there.

    Raises:
        TaskError: a task failed more often than Spark allows.
    """
    context = spark.sparkContext
    name_jobs(spark, step, f"clip-spark {step}: {total} shards")
    with watch_progress(context, step, total, rows):
        try:
            yield
        except Exception as error:  # Py4J wraps whatever happened on an executor
            if was_interrupted(error):
                raise KeyboardInterrupt from error
            context.cancelJobGroup(step)  # tasks of other stages would go on writing
            raise TaskError(f"{step} stopped: {root_cause(error)} {after}") from error


def read_on_executors(get_spark: SessionSource) -> ReadMany:
    """*Driver.* Reads small JSON files: few of them here, very many on the executors.

    A request to an object store takes milliseconds of CPU: the receipts of a million shards would keep a driver busy
    for an hour. Executors send them back packed, 40 bytes each.
    """

    def read(place: str, names: Sequence[str]) -> Iterator[Any]:
        if len(names) < MANY_FILES:
            yield from read_many(place, names)
            return
        spark = get_spark()
        chunks = [(place, names[start : start + CHUNK_FILES]) for start in range(0, len(names), CHUNK_FILES)]
        for packed in map_items(spark, "read receipts", chunks, _read_packed):
            yield from json.loads(zlib.decompress(packed))

    return read


def _read_packed(chunk: tuple[str, Sequence[str]]) -> bytes:
    """*Worker.* The values of a chunk of files, compressed."""
    return zlib.compress(json.dumps(read_many(*chunk)).encode())
