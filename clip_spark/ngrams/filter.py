"""*Driver.* filter-ngrams: counts -> records, ranked and cut, without touching the corpus."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import schema, storage
from clip_spark.errors import InputError
from clip_spark.manifest import Manifest, Plan, Run, begin_run, read_manifest
from clip_spark.ngrams import select
from clip_spark.ngrams.select import Words
from clip_spark.session import SessionSource
from clip_spark.shards import Receipt, ShardWriter
from clip_spark.specs.text import FilterSpec
from clip_spark.tasks import run_shards

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STEP = "filter-ngrams"
SHARD_ROWS = 100_000
FEW_ROWS = 2_000_000
"""Up to so many records the selection is merged into one ranking; beyond, each shard of counts gives a shard."""


@dataclass(frozen=True)
class _Source:
    """*Worker.* Where words and their counts are; loaded once per worker, and only when the rank needs them."""

    files: tuple[str, ...]
    tokens: int
    rank: str

    def words(self) -> Words | None:
        return None if self.rank == "count" else _load_words(self.files, self.tokens)


@lru_cache(maxsize=1)
def _load_words(files: tuple[str, ...], tokens: int) -> Words:
    tables = [read_counts(file, ("n", "=", 1)) for file in files]
    table = pa.concat_tables(tables).combine_chunks()
    return Words(table["text"].combine_chunks(), table["count"].to_numpy(), tokens)


def read_counts(uri: str, where: tuple[str, str, int] | None = None) -> pa.Table:
    """*Worker.* One shard of counts, or the rows of it that fulfil a condition such as ("n", "=", 1)."""
    with storage.open_read(uri) as stream:
        return pq.read_table(stream, schema=schema.COUNTS, filters=[where] if where else None)


def filter_ngrams(get_spark: SessionSource, spec: FilterSpec) -> Manifest:
    """*Driver.* Rank the n-grams of a counts dataset and keep the best; see FilterSpec.

    Raises:
        InputError: there are no counts, or they lack what the rank needs.
        OutputError: the output folder holds another run.
    """
    counts = read_manifest(spec.counts, "counts")
    _check_rank(spec, counts)
    few = _most_rows(spec, counts) if spec.top else FEW_ROWS + 1
    shards = max(1, -(-few // SHARD_ROWS)) if few <= FEW_ROWS else len(counts.receipts)
    run = begin_run(
        spec.output, Plan.of("records", spec, {"counts": counts.as_input()}, shards), overwrite=spec.overwrite
    )
    if run.manifest:
        return run.manifest
    if run.pending():
        (_write_ranking if few <= FEW_ROWS else _write_by_shard)(get_spark(), spec, run, counts)
    return run.commit({"rank": spec.rank, "orders": counts.extra["orders"], "tokens": counts.extra["tokens"]})


def _check_rank(spec: FilterSpec, counts: Manifest) -> None:
    """*Driver.* Every word of an n-gram that is ranked must have its own count."""
    if spec.rank == "count":
        return
    orders = counts.extra["orders"]
    rarest = min(max(spec.min_count, order["min_count"]) for order in orders.values())
    if "1" not in orders or orders["1"]["min_count"] > rarest:
        raise InputError(
            f"--rank {spec.rank} needs the counts of single words down to {rarest}, and '{spec.counts}' lacks them; "
            f"count again with order 1 and --min-count of at most {rarest} for it, or raise this --min-count."
        )


def _most_rows(spec: FilterSpec, counts: Manifest) -> int:
    return sum(min(spec.top, order["survivors"]) for order in counts.extra["orders"].values())


def _source(spec: FilterSpec, counts: Manifest) -> _Source:
    return _Source(tuple(counts.files("counts")), counts.extra["tokens"], spec.rank)


def _write_ranking(spark: SparkSession, spec: FilterSpec, run: Run, counts: Manifest) -> None:
    """*Driver.* Best of each shard on the workers, best of those in a tree, then a few shards in the order of rank."""
    source = _source(spec, counts)
    select_file = partial(_select_file, spec=spec, source=source)
    rdd = spark.sparkContext.parallelize(source.files, len(source.files)).map(select_file)
    merged = rdd.treeReduce(partial(_merge, top=spec.top))
    shards = run.plan.shards
    for number in run.pending():
        start, end = (merged.num_rows * i // shards for i in (number, number + 1))
        _write(merged.slice(start, end - start), run.output, run.plan.fingerprint, number)


def _select_file(uri: str, spec: FilterSpec, source: _Source) -> pa.Table:
    return select.select(read_counts(uri), spec, source.words())


def _merge(left: pa.Table, right: pa.Table, top: int) -> pa.Table:
    return select.best(pa.concat_tables([left, right]), top)


def _write_by_shard(spark: SparkSession, spec: FilterSpec, run: Run, counts: Manifest) -> None:
    """*Driver.* One shard of records for each shard of counts, ranked within itself."""
    source = _source(spec, counts)
    work = partial(_write_file, spec=spec, source=source, output=run.output, plan=run.plan.fingerprint)
    run_shards(spark, STEP, [(number, source.files[number]) for number in run.pending()], work)


def _write_file(item: tuple[int, str], spec: FilterSpec, source: _Source, output: str, plan: str) -> Receipt:
    number, uri = item
    return _write(_select_file(uri, spec, source), output, plan, number)


def _write(scored: pa.Table, output: str, plan: str, number: int) -> Receipt:
    with ShardWriter(output, plan, number, {"records": select.RECORDS}) as writer:
        writer.write("records", select.as_records(scored))
        return writer.finish()
