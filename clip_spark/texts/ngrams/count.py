"""*Driver.* count-ngrams: corpus -> counts.

    splits --FirstPass--> words --shuffle, SumWords--> vocabulary of frequent words --shared-->
    splits --SecondPass--> sorted integer keys --shuffle, WriteShard--> counts/00000.parquet

Both passes tokenise a split once: the first leaves the text as integers in a work file. docs/ngrams.md says why.
Receipts 0 ... n - 1 are those of the shards; behind them each split has one, with its totals and rejects (source.py).
Of a corpus that has grown only new files are read; what was counted before comes in beside the splits (grow.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.run import Run, begin_run, finished
from clip_spark.datasets.sources import write_sources
from clip_spark.datasets.spec import fingerprint
from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.datasets.taken_over import CopiedShard
from clip_spark.runtime.exchange import Exchange, OnSpark, done_here
from clip_spark.runtime.memory import give_back
from clip_spark.runtime.session import SessionSource
from clip_spark.texts import corpus, outcome
from clip_spark.texts.corpus import CorpusFile, Split
from clip_spark.texts.corpus.sniff import Form
from clip_spark.texts.made_again import sources_of
from clip_spark.texts.ngrams import report as summary
from clip_spark.texts.ngrams import report_plots as plots
from clip_spark.texts.ngrams.counting import growth, passes, totals
from clip_spark.texts.ngrams.counting.growth import Points
from clip_spark.texts.ngrams.counting.passes import Item
from clip_spark.texts.ngrams.counting.source import Source
from clip_spark.texts.ngrams.counting.vocabulary import make_vocabulary
from clip_spark.texts.ngrams.grow import CountGrowth, Todo, todo_of
from clip_spark.texts.specs import CountSpec
from clip_spark.texts.text_field import check_text_field

STEP = "count-ngrams"
SHARD_BYTES = 16 << 20
"""Bytes of corpus per shard of counts."""
MOST_SHARDS = 16_384
"""Every split sends a message to every shard: more shards would be more messages than n-grams."""
MOST_WORDS = 8_000_000
"""Words that the driver holds and broadcasts (about 15 bytes each)."""
NONE_LEFT = "no n-gram is as frequent as --min-count asks, or the corpus holds no words"
WORK = "_work"
GROWTH = "growth.json"


def count_ngrams(get_spark: SessionSource, spec: CountSpec) -> Manifest:
    """*Driver.* Count every n-gram of a corpus, exactly; see CountSpec.

    Raises:
        InputError: the corpus is missing or empty.
        ResultError: nothing was counted, or more rows were rejected than --max-rejects allows.
        OutputError: the output folder holds another run.
    """
    listing = corpus.list_corpus(spec.corpus)
    files = listing.files
    splits = _cut(files, 0, spec)
    shards = spec.shards or choose_shards(sum(file.weight for file in files))
    before = Plan.of("counts", spec, {"corpus": corpus.as_input(files, spec.corpus)}, shards)
    if not spec.overwrite and (done := finished(spec.output, before)):  # its totals were kept in receipts of shards
        return done
    check_text_field(files, spec.text_field, spec.encoding)
    sources = sources_of(files)
    cut = partial(_cut, split_bytes=corpus.choose_split_bytes(sum(file.weight for file in files)), spec=spec)
    plan = plan_of(before, files, splits)
    grow = CountGrowth(spec, files, sources, shards, plan.fingerprint, cut)
    run = begin_run(spec.output, plan, overwrite=spec.overwrite, grow=grow, prune=spec.prune)
    if run.manifest is None and run.growth is None:
        write_sources(run.output, sources)
    manifest = run.manifest or _finish(get_spark, spec, run, todo_of(run, shards, splits), listing.left_out)
    _remove_work(run)  # also after a run that ended between the commit and this
    return manifest


def _cut(files: Sequence[CorpusFile], split_bytes: int, spec: CountSpec) -> list[Split]:
    return corpus.plan_splits(files, split_bytes, partial(_look, encoding=spec.encoding))


def _remove_work(run: Run) -> None:
    """*Driver.* Delete what this run kept for itself; others may have put something beside it."""
    work = storage.join(run.output, WORK)
    storage.remove_tree(storage.join(work, run.plan.fingerprint))
    storage.remove_files([storage.join(work, GROWTH)])
    storage.remove_empty_folders(work)


def plan_of(shards: Plan, files: Sequence[CorpusFile], splits: Sequence[Split]) -> Plan:
    """*Pure.* The plan of the shards with a receipt more for each split; another cut of the corpus is another plan."""
    number = {file.uri: place for place, file in enumerate(files)}
    cut = [[[number[piece.uri], piece.start, piece.end] for piece in split] for split in splits]
    source = shards.inputs["corpus"]
    inputs = {"corpus": {**source, "fingerprint": fingerprint([source["fingerprint"], cut])}}
    return replace(shards, inputs=inputs, shards=shards.shards + len(splits))


def _finish(
    get_spark: SessionSource, spec: CountSpec, run: Run, todo: Todo, left_out: Mapping[tuple[str, str], int]
) -> Manifest:
    """*Driver.* Count what is not counted yet, then report and commit."""
    watch = Stopwatch()
    if run.pending():
        plots.load_early()
        _count_pending(
            get_spark, watch, len(todo.splits) + len(todo.counted), partial(_count, spec=spec, run=run, todo=todo)
        )
    points = _read_growth(run.output)
    if (done := run.committed_elsewhere()) is not None:  # by another driver, which then deletes its work files
        return done
    extra = totals.extra(spec.least(), run.receipts())
    outcome.check(run, extra["lines"], spec.max_rejects, NONE_LEFT)
    report = summary.of_counts(extra, run.receipts(), todo.receipts_of_splits, points)
    report |= outcome.of_files(outcome.counters(run), left_out)
    report["rows_in"] += sum(outcome.rejects(run).values())
    plots.draw(run.output, report)
    return run.commit(extra, partial(summary.refined, more=report, seconds=watch.seconds), plots.FILES)


def _look(file: CorpusFile, encoding: str) -> Form | None:
    return corpus.look(file.uri, encoding)


def choose_shards(total: int) -> int:
    """*Pure.* Shards for a corpus of `total` bytes of text."""
    return min(max(1, -(-total // SHARD_BYTES)), MOST_SHARDS)


def _read_growth(output: str) -> Points:
    """*Driver.* What the first pass of this run, or of one that this run resumes, left; none if only words count."""
    place = storage.join(output, WORK, GROWTH)
    return storage.read_json(place) if storage.exists(place) else []


def _count_pending(get_spark: SessionSource, watch: Stopwatch, items: int, count: Callable[[Exchange], None]) -> None:
    """*Driver.* In processes of this machine, or on Spark."""
    if not done_here(get_spark, STEP, items, count):
        with watch("session"):
            spark = get_spark()
        count(OnSpark(spark, STEP))


def _count(exchange: Exchange, spec: CountSpec, run: Run, todo: Todo) -> None:
    """*Driver.* Write the shards that are pending; may be called again where it has failed."""
    plan, shards = run.plan.fingerprint, todo.shards
    source = Source(spec, storage.join(run.output, WORK, plan), run.output, plan, shards)
    pending = frozenset(run.pending())
    copies = [copy for copy in todo.copies if copy.number in pending]
    exchange.each(copies, partial(_copy, output=run.output, plan=plan))
    items: list[Item] = [*enumerate(todo.splits), *todo.counted]
    words = _share_vocabulary(exchange, source, items, run, todo)
    give_back()  # of the words only the file remains that tasks get
    pending = frozenset(number for number in pending if number < shards)
    write = passes.WriteShard(source, words, pending)
    exchange.deal(items, passes.SecondPass(source, words, pending), shards, write)


def _copy(copy: CopiedShard, output: str, plan: str) -> Receipt:
    return copy.write(output, plan)


def _share_vocabulary(exchange: Exchange, source: Source, items: Sequence[Item], run: Run, todo: Todo) -> Any:
    """*Driver.* The words frequent enough to be part of an n-gram that is kept; None if only words are counted."""
    least = [count for n, count in source.spec.least().items() if n > 1]
    if not least:
        return None
    parts = source.shards
    sum_words = passes.SumWords(min(least), -(-MOST_WORDS // parts))
    found = exchange.deal(items, passes.FirstPass(source, len(todo.splits), parts), parts, sum_words)
    points = growth.curve([part.growth for part in found], todo.points)
    storage.write_json(storage.join(run.output, WORK, GROWTH), points)
    return exchange.share(make_vocabulary(found, min(least)))
