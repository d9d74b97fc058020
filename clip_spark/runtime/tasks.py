"""*Driver.* The engine of every step that maps planned shards: each task leaves its receipt in the store.

An encoding step is a map, not a shuffle: one item of the plan in, one shard out, order kept.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.receipt_files import ReadMany, read_many
from clip_spark.errors import ClipSparkError, TaskError, UserError
from clip_spark.runtime.memory import tidy
from clip_spark.runtime.progress import watch_progress
from clip_spark.runtime.session import SessionSource

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Item = TypeVar("Item")
MOST_TASKS = 20_000
"""Spark's driver keeps each task in memory; beyond this a task takes several shards."""
MANY_FILES, CHUNK_FILES = 20_000, 2_000
"""So many receipts are read on the executors, so many by one task; fewer take the driver some ten seconds."""

RESUMES = "Finished shards are kept; run the same command again to go on."
LAST_FAILURE = re.compile(r"most recent failure: .*?\(TID \d+\) \([^)]*\): (.+)")
"""What Spark says of a task that failed without a Python traceback: a full disk, a lost executor."""


@dataclass(frozen=True)
class _Failure:
    """The message of a mistake that no retry can mend; all that a task ever sends back."""

    message: str


@dataclass(frozen=True)
class _Work:
    """*Worker.* Runs the step's function on each item; picklable."""

    function: Callable[[Any], Receipt]

    def __call__(self, item: Any) -> list[_Failure]:
        try:
            self.function(item)
        except UserError as error:
            return [_Failure(str(error))]
        finally:
            tidy()
        return []


def run_shards(
    spark: SparkSession,
    step: str,
    items: Sequence[Item],
    work: Callable[[Item], Receipt],
    profile: Any = None,
) -> None:
    """*Driver.* Run `work` once for each item on the executors; the receipts are in the store, not sent to the driver.

    Args:
        spark: the session.
        step: name for the Spark UI and the progress line, such as "embed-text".
        items: what the tasks get; one shard each, picklable and small.
        work: picklable; writes its shard and the receipt; run again after a failure.
        profile: a Spark ResourceProfile for tasks that need a GPU, else None.

    Raises:
        UserError: a task found a mistake that no retry can mend.
        TaskError: a task failed more often than Spark allows; finished shards stay, run again to go on.
    """
    if not items:
        return
    rdd = spark.sparkContext.parallelize(items, min(len(items), MOST_TASKS)).flatMap(_Work(work))
    if profile is not None:
        rdd = rdd.withResources(profile)
    for failure in collect(spark, step, rdd, len(items)):
        raise UserError(failure.message)


def collect(spark: SparkSession, step: str, rdd: Any, total: int, after: str = RESUMES) -> list[Any]:
    """*Driver.* The elements of an RDD of small results, with a progress line and one sentence for an error.

    Args:
        spark: the session.
        step: name for the Spark UI and the progress line.
        rdd: what to compute; its elements must be few and small.
        total: how many tasks the progress line counts to.
        after: what an error says of the state that the run leaves.

    Raises:
        TaskError: a task failed more often than Spark allows.
    """
    context = spark.sparkContext
    context.setJobGroup(step, f"clip-spark {step}: {total} shards", interruptOnCancel=True)
    with watch_progress(context, step, total):
        try:
            return rdd.collect()
        except Exception as error:  # Py4J wraps whatever happened on an executor
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
        rdd = spark.sparkContext.parallelize(chunks, len(chunks)).map(_read_packed)
        for packed in collect(spark, "read receipts", rdd, len(chunks)):
            yield from json.loads(zlib.decompress(packed))

    return read


def _read_packed(chunk: tuple[str, Sequence[str]]) -> bytes:
    """*Worker.* The values of a chunk of files, compressed."""
    return zlib.compress(json.dumps(read_many(*chunk)).encode())


def root_cause(error: BaseException) -> str:
    """*Pure.* The line inside a Spark error that says what happened: a Python traceback's last, else the JVM's own."""
    if isinstance(error, ClipSparkError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines()]
    causes = [line for line in lines if _looks_like_cause(line)] or LAST_FAILURE.findall(str(error)) or lines[:1]
    return (causes[-1] if causes else type(error).__name__).rstrip(".") + "."


def _looks_like_cause(line: str) -> bool:
    head = line.split(":", 1)[0]
    is_python = bool(head) and " " not in head and head.rsplit(".", 1)[-1].endswith(("Error", "Exception", "Exit"))
    return is_python and ":" in line and not line.startswith(("at ", "org.apache.spark", "py4j", "java."))
