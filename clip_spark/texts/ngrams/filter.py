"""*Driver.* filter-ngrams: counts -> records, ranked and cut, without touching the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.run import Run, begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.spec import fingerprint
from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.errors import InputError
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import reduce_items, run_shards
from clip_spark.texts.ngrams import report as summary
from clip_spark.texts.ngrams.counting.tokenizer import make_tokenizer
from clip_spark.texts.ngrams.ranking import drop_reasons as cleaning
from clip_spark.texts.ngrams.ranking import score_and_cut as select
from clip_spark.texts.ngrams.ranking.drop_reasons import Lists
from clip_spark.texts.ngrams.ranking.score_and_cut import Selection, Words
from clip_spark.texts.ngrams.visible import Seen, check_seen
from clip_spark.texts.specs import ORDERS, VISIBILITY, CountSpec, FilterSpec

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
        InputError: there are no counts, they lack what is asked for, or no n-gram is left.
        OutputError: the output folder holds another run.
    """
    counts = read_manifest(spec.counts, "counts")
    _check_orders(spec, counts)
    _check_rank(spec, counts)
    lists = cleaning.read_lists(spec, make_tokenizer(_counted_as(counts)))
    shards = max(1, -(-_most_rows(spec, counts) // SHARD_ROWS)) if spec.top else len(counts.files("counts"))
    seen = _find_seen(spec, counts)
    inputs = {"counts": counts.as_input(), "lists": _lists_input(spec, lists), **(seen.inputs() if seen else {})}
    run = begin_run(spec.output, Plan.of("records", spec, inputs, shards), overwrite=spec.overwrite)
    if run.manifest:
        return run.manifest
    watch = Stopwatch()
    if run.pending():
        with watch("session"):
            spark = get_spark()
        source = _Source(spec, lists, tuple(counts.files("counts")), counts.extra["tokens"])
        if seen:
            with watch("sample"):
                visible = seen.source(spec, lists)
            _write_ranking(spark, run, Ranking(visible.files, visible.select, spec.top, seen.missing))
        elif spec.top:
            _write_ranking(spark, run, Ranking(source.files, source.select, spec.top))
        else:
            _write_by_shard(spark, run, source)
    dropped = _dropped(run.receipts())
    _check_not_empty(run, counts, dropped)
    about = {"rank": spec.rank, "orders": counts.extra["orders"], "tokens": counts.extra["tokens"]}
    report = summary.of_filter(counts, dropped)
    return run.commit({**about, "dropped": dropped}, partial(summary.refined, more=report, seconds=watch.seconds))


def _find_seen(spec: FilterSpec, counts: Manifest) -> Seen | None:
    """*Driver.* What the rank needs beside the counts; None for one that needs no vectors."""
    if spec.rank != VISIBILITY:
        return None
    return check_seen(counts, read_manifest(spec.texts, "embeddings"), read_manifest(spec.pictures, "embeddings"))


def _counted_as(counts: Manifest) -> CountSpec:
    """*Driver.* What decided the form of the n-grams that were counted."""
    form = {name: counts.spec[name] for name in ("lower", "nfkc", "tokenizer") if name in counts.spec}
    return CountSpec(corpus=(counts.uri,), output=counts.uri, **form)


def _lists_input(spec: FilterSpec, lists: Lists) -> dict[str, Any]:
    """*Driver.* The lists as an input of the plan: another content is another run, whatever the file is called."""
    names = [name for name in (spec.stop_words, spec.keep_list, spec.drop_list) if name]
    contents = [sorted(entries) for entries in (lists.stop_words, lists.keep, lists.drop)]
    return {"uri": ",".join(names), "fingerprint": fingerprint(contents)}


def _dropped(receipts: Sequence[Receipt]) -> dict[str, dict[str, int]]:
    """*Driver.* Reason -> order -> n-grams that are not in the result for it; in the order of the checks."""
    sums: Counter[str] = sum((Counter(receipt.counters) for receipt in receipts), Counter())
    dropped: dict[str, dict[str, int]] = {}
    for reason in (select.NOT_EMBEDDED, *cleaning.REASONS, select.BELOW_TOP):
        found = {n: int(sums[f"{reason}_{n}"]) for n in map(str, ORDERS) if sums[f"{reason}_{n}"]}
        if found:
            dropped[reason] = found
    return dropped


def _wanted(spec: FilterSpec, counts: Manifest) -> dict[str, Any]:
    """*Driver.* The orders that are asked for, as the counts describe them."""
    return {n: order for n, order in counts.extra["orders"].items() if not spec.orders or int(n) in spec.orders}


def _check_orders(spec: FilterSpec, counts: Manifest) -> None:
    missing = [str(n) for n in spec.orders if str(n) not in counts.extra["orders"]]
    if missing:
        raise InputError(
            f"'{spec.counts}' holds n-grams of order {', '.join(counts.extra['orders'])}, and --orders asks for "
            f"{', '.join(missing)}; count them too, or ask for less."
        )


def _check_rank(spec: FilterSpec, counts: Manifest) -> None:
    """*Driver.* Every word of an n-gram that is ranked must have its own count."""
    if spec.rank in ("count", VISIBILITY):
        return
    orders = counts.extra["orders"]
    if spec.rank == "log-likelihood" and set(spec.orders) != {2}:
        raise InputError("--rank log-likelihood is defined for pairs; add --orders 2.")
    rarest = min(max(spec.min_count, order["min_count"]) for order in _wanted(spec, counts).values())
    if "1" not in orders or orders["1"]["min_count"] > rarest:
        raise InputError(
            f"--rank {spec.rank} needs the counts of single words down to {rarest}, and '{spec.counts}' lacks them; "
            f"count again with order 1 and --min-count of at most {rarest} for it, or raise this --min-count."
        )


def _check_not_empty(run: Run, counts: Manifest, dropped: dict[str, dict[str, int]]) -> None:
    """*Driver.* An empty result is a mistake in the options: leave nothing behind that would bar the next try."""
    if any(receipt.rows for receipt in run.receipts()):
        return
    run.abandon()
    reasons = "; ".join(f"{reason}: {sum(orders.values()):,}" for reason, orders in dropped.items())
    raise InputError(f"None of the {counts.rows:,} n-grams is left ({reasons}); loosen that. Nothing was written.")


def _most_rows(spec: FilterSpec, counts: Manifest) -> int:
    return sum(min(spec.top, order["survivors"]) for order in _wanted(spec, counts).values())


@dataclass(frozen=True)
class Ranking:
    """Shards, what selects rows of one, how many are kept of each order, and what was dropped before."""

    files: Sequence[Any]
    select: Callable[[Any], Selection]
    top: int
    dropped: Counter[str] = field(default_factory=Counter)


def _write_ranking(spark: SparkSession, run: Run, ranking: Ranking) -> None:
    """*Driver.* Best of each shard on the workers, best of those in a tree, then a few shards in the order of rank."""
    watch = Stopwatch()
    with watch("select"):
        rows, dropped = reduce_items(spark, STEP, ranking.files, ranking.select, partial(select.merge, top=ranking.top))
    shards = run.plan.shards
    for number in run.pending():
        start, end = (rows.num_rows * i // shards for i in (number, number + 1))
        part = Selection(rows.slice(start, end - start), dropped + ranking.dropped if number == 0 else Counter())
        _write(part, run.output, run.plan.fingerprint, number, watch if number == 0 else Stopwatch())


def _write_by_shard(spark: SparkSession, run: Run, source: _Source) -> None:
    """*Driver.* One shard of records for each shard of counts, ranked within itself."""
    work = partial(_write_file, source=source, output=run.output, plan=run.plan.fingerprint)
    run_shards(spark, STEP, [(number, source.files[number]) for number in run.pending()], work)


def _write_file(item: tuple[int, str], source: _Source, output: str, plan: str) -> Receipt:
    number, uri = item
    watch = Stopwatch()
    with watch("select"):
        selection = source.select(uri)
    return _write(selection, output, plan, number, watch)


def _write(selection: Selection, output: str, plan: str, number: int, watch: Stopwatch) -> Receipt:
    with ShardWriter(output, plan, number, {"records": select.RECORDS}) as writer:
        writer.watch.seconds.update(watch.seconds)
        writer.counters.update(selection.dropped)
        writer.write("records", select.as_records(selection.rows))
        return writer.finish()
