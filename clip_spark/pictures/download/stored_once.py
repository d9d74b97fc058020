"""*Driver.* --dedup: all rows of a download are compared, and each shard is left what it must know of the others."""

from __future__ import annotations

from collections.abc import Iterable

from clip_spark import storage
from clip_spark.datasets.manifest import file_of
from clip_spark.datasets.receipt import Receipt
from clip_spark.pictures.download.doubles import ReadKeys, Shards, WriteDoubles, doubles_of
from clip_spark.pictures.download.outcomes import RECORDS
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import collect, spread

PARTITION_ROWS = 2_000_000
"""Keys that are compared by one task: about 400 MB."""
MOST_WRITERS = 1000


def files_of(uri: str, receipts: Iterable[Receipt]) -> list[tuple[int, str]]:
    """*Pure.* Shards with their files of records; `uri` is what their paths are relative to."""
    return [(receipt.shard, storage.join(uri, file_of(receipt, RECORDS))) for receipt in receipts]


def mark_doubles(get_spark: SessionSource, step: str, shards: Shards, rows: int) -> None:
    """*Driver.* Leave each pending shard its doubles; all rows must have outcomes.

    Args:
        get_spark: gives the session.
        step: name of the command.
        shards: all of the dataset.
        rows: of all of them, about.
    """
    count = max(1, -(-rows // PARTITION_ROWS))
    writers = min(len(shards.pending), MOST_WRITERS)
    spark = get_spark()
    keys = spread(spark, shards.items).flatMap(ReadKeys(shards.output, shards.plan, shards.by, count))
    found = keys.partitionBy(count, int).mapPartitions(doubles_of)
    marked = found.partitionBy(writers, lambda shard: shard % writers)
    write = WriteDoubles(shards.output, shards.plan, tuple(part.number for part in shards.pending), writers)
    collect(spark, step, marked.mapPartitionsWithIndex(write), len(shards.items) + count + writers)
