"""*Driver.* The one call into autofaiss: its distributed add and merge, with our reader and our part writer.

The pinned version's internals are relied on (tests/unit/test_index_autofaiss.py holds them): the reader is called as
`reader(batch_size=, start=, end=)` and yields (vectors, frame with `i`); `index_optimizer(index, index_suffix)` is
called once per merged index and returns a dict with `index_path`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from clip_spark import storage
from clip_spark.errors import UserError
from clip_spark.index.build.read_vectors import VectorFile, VectorReader
from clip_spark.index.build.records_and_vectors import ShardFileWriter
from clip_spark.index.build.train import LEAST_TRAIN_ROWS, TrainRecipe, train_index
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.files.layout import BUILDING, IndexFile
from clip_spark.index.files.part_writer import HashingStream, PartWriter, read_faiss, write_faiss
from clip_spark.index.open.merge import merge
from clip_spark.runtime.tasks import collect, job, map_items

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STEP = "build-index"
SERVED_STILL = "What was served before still is."
NO_AUTOFAISS = (
    "This index has inverted lists, which autofaiss builds on Spark, and it cannot be imported here. Install it on all "
    "machines: `pip install 'clip-spark[index]'`, then `pip install --no-deps autofaiss==2.18.0 embedding-reader`; "
    "without its dependencies, for it asks for an older numpy than it needs. Exact indices (--index-key Flat) do not "
    "need it."
)
BATCH_MEMORY = "128MB"
"""Vectors in flight per task, beside the part that it builds."""


def add_distributed(
    spark: SparkSession, trained: Any, reader: VectorReader, parts: int, writer: PartWriter
) -> list[IndexFile]:
    """*Driver.* Add all vectors to copies of a trained index on the executors, merge them to parts, and write those.

    Raises:
        UserError: autofaiss is not installed.
        TaskError: a task failed for good; no job of this build is left running.
    """
    from tqdm import tqdm

    distributed = load_autofaiss()
    distributed.tqdm = partial(tqdm, disable=True)  # its bars would draw over ours
    with job(spark, STEP, parts, SERVED_STILL):
        _, written = distributed.add_embeddings_to_index_distributed(
            trained_index_or_path=trained,
            embedding_reader=reader,
            memory_available_for_adding=BATCH_MEMORY,
            nb_cores=threads_per_task(spark, parts),
            temporary_indices_folder=storage.join(writer.output, BUILDING, writer.generation),
            nb_indices_to_keep=parts,
            index_optimizer=writer,
        )
    return [IndexFile(**_without_path(found)) for found in _as_list(written)]


def load_autofaiss() -> Any:
    """*Driver.* autofaiss's distributed mode; raises UserError, with what to type, where it is not installed."""
    try:
        from autofaiss.indices import distributed
    except ImportError as error:
        raise UserError(f"{NO_AUTOFAISS} ({error})") from error
    return distributed


def map_shards(spark: SparkSession, writer: ShardFileWriter) -> list[tuple[IndexFile, IndexFile | None]]:
    """*Driver.* Write the records (and vectors) of all shards on the executors."""
    return map_items(spark, STEP, range(len(writer.records)), writer, SERVED_STILL)


@dataclass(frozen=True)
class Sample:
    """Vectors that were drawn of a dataset.

    Attributes:
        files: those to train on, float32, in the order of their positions; and how many each file holds.
        test: those to test with, float32 (m, d).
    """

    files: tuple[tuple[str, int], ...]
    test: np.ndarray


def draw_distributed(
    spark: SparkSession, reader: VectorReader, train: np.ndarray, test: np.ndarray, writer: PartWriter
) -> Sample:
    """*Driver.* The vectors at some sorted positions, read on the executors in one pass.

    Those to train on are left in `building/`, so that the driver never holds them and may be small.
    """
    folder = storage.join(writer.output, BUILDING, writer.generation, "sample")

    def of_file(positions: np.ndarray, file: VectorFile) -> np.ndarray:
        return positions[slice(*np.searchsorted(positions, (file.start, file.end)))]

    def draw(item: tuple[str, np.ndarray, np.ndarray]) -> tuple[tuple[str, int], np.ndarray]:
        uri, mine, others = item
        order = np.argsort(both := np.concatenate([mine, others]))
        vectors = np.empty((len(both), reader.dimension), np.float32)
        vectors[order] = reader.take(both[order])
        storage.write_bytes(uri, vectors[: len(mine)].tobytes())
        return (uri, len(mine)), vectors[len(mine) :]

    items = [
        (storage.join(folder, f"{number:06d}.f32"), of_file(train, file), of_file(test, file))
        for number, file in enumerate(reader.files)
    ]
    drawn = map_items(spark, STEP, items, draw, SERVED_STILL)
    return Sample(tuple(file for file, _ in drawn), np.concatenate([vectors for _, vectors in drawn]))


def train_distributed(spark: SparkSession, sample: Sample, writer: PartWriter, recipe: TrainRecipe) -> Any:
    """*Driver.* An empty index with trained quantizers, by one task with all cores of its executor.

    By one thread if there is little to do: threads that wait for each other after small products take three times the
    CPU time, and minutes beside other work.
    """
    files, dimension = sample.files, sample.test.shape[1]
    threads = threads_per_task(spark, 1) if sum(rows for _, rows in files) >= LEAST_TRAIN_ROWS else 1

    def train(target: str) -> None:
        load_faiss().omp_set_num_threads(threads)  # PySpark gives each task one
        vectors, at = np.empty((sum(rows for _, rows in files), dimension), np.float32), 0
        for uri, rows in files:
            vectors[at : at + rows] = np.frombuffer(storage.read_bytes(uri), np.float32).reshape(rows, dimension)
            at += rows
        with storage.open_write(target) as stream:
            write_faiss(train_index(recipe.key, recipe.metric, vectors, recipe.seed), HashingStream(stream))

    trained = storage.join(writer.output, BUILDING, writer.generation, "trained.index")
    map_items(spark, STEP, [trained], train, SERVED_STILL)
    return read_faiss(trained)


def exact_distributed(
    spark: SparkSession,
    items: Sequence[Any],
    search: Callable[[Iterable[Any]], list[tuple[np.ndarray, np.ndarray]]],
    depths: Sequence[int],
    step: str = STEP,
) -> list[np.ndarray]:
    """*Driver.* The true k nearest of sets of queries, int64 (n, k) each: every vector is compared.

    Args:
        spark: the session.
        items: files, or parts, that together hold all vectors.
        search: picklable; some items -> scores float32 (n, m), positions int64 (n, m) of their best, for each set.
        depths: hits per query, of each set.
        step: whose stages these are.
    """
    tasks = min(len(items), 3 * spark.sparkContext.defaultParallelism)

    def best(mine: Iterable[Any]) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
        yield search(mine)

    rdd = spark.sparkContext.parallelize(items, tasks).mapPartitions(best)
    return [positions for _, positions in best_of(collect(spark, step, rdd, tasks, SERVED_STILL), depths)]


def best_of(
    found: Sequence[list[tuple[np.ndarray, np.ndarray]]], depths: Sequence[int]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """*Pure.* Of the hits in several items the best of each set of queries."""
    return [merge(of_set, k) for of_set, k in zip(zip(*found, strict=True), depths, strict=True)]


def _as_list(written: Any) -> list[dict[str, Any]]:
    """*Pure.* autofaiss returns one dict for a single index, and a dict by path for several."""
    return [written] if "index_path" in written else list(written.values())


def _without_path(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != "index_path"}


def threads_per_task(spark: SparkSession, parts: int) -> int:
    """*Driver.* OpenMP threads for each add task, so that the tasks that run at once share the cores of a machine."""
    cores = max(1, spark.sparkContext.defaultParallelism)
    executors = max(1, len(spark._jsc.sc().statusTracker().getExecutorInfos()) - 1)
    return max(1, cores // max(parts, executors))
