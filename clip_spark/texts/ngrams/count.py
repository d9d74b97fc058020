"""*Driver.* count-ngrams: corpus -> counts.

    splits --FirstPass--> words --shuffle, SumWords--> vocabulary of frequent words --broadcast-->
    splits --SecondPass--> sorted integer keys --shuffle, WriteShard--> counts/00000.parquet

Both passes tokenise a split once: the first leaves the text as integers in a work file. docs/ngrams.md says why.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import Run, begin_run
from clip_spark.datasets.spec import fingerprint
from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.runtime.memory import Tidied, give_back
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import collect
from clip_spark.texts import corpus
from clip_spark.texts.corpus import Split
from clip_spark.texts.ngrams import report as summary
from clip_spark.texts.ngrams import report_plots as plots
from clip_spark.texts.ngrams.counting import growth, passes, totals
from clip_spark.texts.ngrams.counting.growth import Points
from clip_spark.texts.ngrams.counting.vocabulary import make_vocabulary
from clip_spark.texts.specs import CountSpec

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STEP = "count-ngrams"
SHARD_BYTES = 16 << 20
"""Bytes of corpus per shard of counts."""
MOST_SHARDS = 16_384
"""Every split sends a message to every shard: more shards would be more messages than n-grams."""
MOST_WORDS = 8_000_000
"""Words that the driver holds and broadcasts (about 15 bytes each)."""
WORK = "_work"
GROWTH = "growth.json"


def count_ngrams(get_spark: SessionSource, spec: CountSpec) -> Manifest:
    """*Driver.* Count every n-gram of a corpus, exactly; see CountSpec.

    Raises:
        InputError: the corpus is missing or empty.
        OutputError: the output folder holds another run.
    """
    files = corpus.list_corpus(spec.corpus)
    shards = spec.shards or choose_shards(sum(file.weight for file in files))
    plan = Plan.of("counts", spec, {"corpus": corpus.as_input(files, spec.corpus)}, shards)
    run = begin_run(spec.output, plan, overwrite=spec.overwrite)
    if run.manifest:
        return run.manifest
    watch = Stopwatch()
    if run.pending():
        with watch("session"):
            spark = get_spark()
        _count(spark, spec, run, corpus.plan_splits(files))
    extra = totals.extra(spec.least(), run.receipts())
    report = summary.of_counts(extra, run.receipts(), _read_growth(run.output))
    plots.draw(run.output, report)
    manifest = run.commit(extra, partial(summary.refined, more=report, seconds=watch.seconds))
    storage.remove_tree(storage.join(run.output, WORK))
    return manifest


def choose_shards(total: int) -> int:
    """*Pure.* Shards for a corpus of `total` bytes of text."""
    return min(max(1, -(-total // SHARD_BYTES)), MOST_SHARDS)


def _read_growth(output: str) -> Points:
    """*Driver.* What the first pass of this run, or of one that this run resumes, left; none if only words count."""
    place = storage.join(output, WORK, GROWTH)
    return storage.read_json(place) if storage.exists(place) else []


def _count(spark: SparkSession, spec: CountSpec, run: Run, splits: list[Split]) -> None:
    # Work files of other splits (an older version cut the corpus in another way) must not be taken for these.
    cut = fingerprint([run.plan.fingerprint, [[[p.uri, p.start, p.end] for p in split] for split in splits]])
    source = passes.Source(spec, storage.join(run.output, WORK, cut))
    items = spark.sparkContext.parallelize(list(enumerate(splits)), len(splits))
    words = _broadcast_vocabulary(spark, source, items, run)
    give_back()  # of the words only the file remains that Spark sends
    shards, pending = run.plan.shards, frozenset(run.pending())
    parts = items.flatMap(Tidied(passes.SecondPass(source, words, shards, pending))).partitionBy(shards, int)
    write = passes.WriteShard(source, words, run.output, run.plan.fingerprint, shards, pending)
    collect(spark, STEP, parts.mapPartitionsWithIndex(Tidied(write)), len(splits) + shards)


def _broadcast_vocabulary(spark: SparkSession, source: passes.Source, items: Any, run: Run) -> Any:
    """*Driver.* The words frequent enough to be part of an n-gram that is kept; None if only words are counted."""
    least = [count for n, count in source.spec.least().items() if n > 1]
    if not least:
        return None
    splits, parts = items.getNumPartitions(), run.plan.shards
    words = items.flatMap(Tidied(passes.FirstPass(source, splits, parts))).partitionBy(parts, int)
    frequent = words.mapPartitions(Tidied(passes.SumWords(min(least), -(-MOST_WORDS // parts))))
    found = collect(spark, STEP, frequent, splits + parts)
    points = growth.curve([part.growth for part in found])
    storage.write_json(storage.join(run.output, WORK, GROWTH), points)
    return spark.sparkContext.broadcast(make_vocabulary(found, min(least)))
