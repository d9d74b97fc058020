"""*Driver.* filter-ngrams: counts -> records, ranked and cut, without touching the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import schema, storage
from clip_spark.errors import InputError
from clip_spark.manifest import Manifest, Plan, Run, begin_run, read_manifest
from clip_spark.ngrams import cleaning, select
from clip_spark.ngrams.cleaning import Lists
from clip_spark.ngrams.select import Selection, Words
from clip_spark.session import SessionSource
from clip_spark.shards import Receipt, ShardWriter
from clip_spark.specs.base import fingerprint
from clip_spark.specs.text import FilterSpec
from clip_spark.tasks import run_shards

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STEP = "filter-ngrams"
SHARD_ROWS = 100_000


@dataclass(frozen=True)
class _Source:
    """*Worker.* Shards of counts and what selects from them; words are loaded once per worker, if a rank needs them."""

    spec: FilterSpec
    lists: Lists
    files: tuple[str, ...]
    tokens: int

    def select(self, uri: str) -> Selection:
        """*Worker.* The rows of one shard that may be in the result."""
        words = None if self.spec.rank == "count" else _load_words(self.files, self.tokens)
        return select.select(read_counts(uri), self.spec, self.lists, words)


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
    lists = cleaning.read_lists(spec)
    _check_rank(spec, counts)
    shards = max(1, -(-_most_rows(spec, counts) // SHARD_ROWS)) if spec.top else len(counts.receipts)
    inputs = {"counts": counts.as_input(), "lists": _lists_input(spec, lists)}
    run = begin_run(spec.output, Plan.of("records", spec, inputs, shards), overwrite=spec.overwrite)
    if run.manifest:
        return run.manifest
    if run.pending():
        source = _source(spec, counts, lists)
        if spec.top:
            _write_ranking(get_spark(), spec, run, source)
        else:
            _write_by_shard(get_spark(), run, source)
    about = {"rank": spec.rank, "orders": counts.extra["orders"], "tokens": counts.extra["tokens"]}
    return run.commit({**about, "dropped": _dropped(run.receipts())})


def _lists_input(spec: FilterSpec, lists: Lists) -> dict[str, Any]:
    """*Driver.* The lists as an input of the plan: another content is another run, whatever the file is called."""
    names = [name for name in (spec.stop_words, spec.keep_list, spec.drop_list) if name]
    contents = [sorted(entries) for entries in (lists.stop_words, lists.keep, lists.drop)]
    return {"uri": ",".join(names), "fingerprint": fingerprint(contents)}


def _dropped(receipts: Sequence[Receipt]) -> dict[str, dict[str, int]]:
    """*Driver.* Reason -> order -> n-grams that are not in the result for it."""
    sums: Counter[str] = sum((Counter(receipt.counters) for receipt in receipts), Counter())
    dropped: dict[str, dict[str, int]] = {}
    for name, rows in sorted(sums.items()):
        reason, _, order = name.rpartition("_")
        dropped.setdefault(reason, {})[order] = int(rows)
    return dropped


def _check_rank(spec: FilterSpec, counts: Manifest) -> None:
    """*Driver.* Every word of an n-gram that is ranked must have its own count."""
    if spec.rank == "count":
        return
    orders = counts.extra["orders"]
    ranked = [order for n, order in orders.items() if not spec.orders or int(n) in spec.orders]
    if not ranked:
        raise InputError(f"'{spec.counts}' holds n-grams of order {', '.join(orders)}; --orders asks for others.")
    if spec.rank == "log-likelihood" and set(spec.orders) != {2}:
        raise InputError("--rank log-likelihood is defined for pairs; add --orders 2.")
    rarest = min(max(spec.min_count, order["min_count"]) for order in ranked)
    if "1" not in orders or orders["1"]["min_count"] > rarest:
        raise InputError(
            f"--rank {spec.rank} needs the counts of single words down to {rarest}, and '{spec.counts}' lacks them; "
            f"count again with order 1 and --min-count of at most {rarest} for it, or raise this --min-count."
        )


def _most_rows(spec: FilterSpec, counts: Manifest) -> int:
    return sum(min(spec.top, order["survivors"]) for order in counts.extra["orders"].values())


def _source(spec: FilterSpec, counts: Manifest, lists: Lists) -> _Source:
    return _Source(spec, lists, tuple(counts.files("counts")), counts.extra["tokens"])


def _write_ranking(spark: SparkSession, spec: FilterSpec, run: Run, source: _Source) -> None:
    """*Driver.* Best of each shard on the workers, best of those in a tree, then a few shards in the order of rank."""
    selected = spark.sparkContext.parallelize(source.files, len(source.files)).map(source.select)
    rows, dropped = selected.treeReduce(partial(select.merge, top=spec.top))
    shards = run.plan.shards
    for number in run.pending():
        start, end = (rows.num_rows * i // shards for i in (number, number + 1))
        part = Selection(rows.slice(start, end - start), dropped if number == 0 else Counter())
        _write(part, run.output, run.plan.fingerprint, number)


def _write_by_shard(spark: SparkSession, run: Run, source: _Source) -> None:
    """*Driver.* One shard of records for each shard of counts, ranked within itself."""
    work = partial(_write_file, source=source, output=run.output, plan=run.plan.fingerprint)
    run_shards(spark, STEP, [(number, source.files[number]) for number in run.pending()], work)


def _write_file(item: tuple[int, str], source: _Source, output: str, plan: str) -> Receipt:
    number, uri = item
    return _write(source.select(uri), output, plan, number)


def _write(selection: Selection, output: str, plan: str, number: int) -> Receipt:
    with ShardWriter(output, plan, number, {"records": select.RECORDS}) as writer:
        writer.counters.update(selection.dropped)
        writer.write("records", select.as_records(selection.rows))
        return writer.finish()
