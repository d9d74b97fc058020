"""*Driver.* sample-lines: n-grams + corpus -> examples; a pass of its own, so that counting stays as fast as it is.

splits --FindLines--> n-grams with their lines --shuffle by n-gram, WriteLines--> examples/00000.parquet
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import Run, begin_run
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError
from clip_spark.runtime.exchange import Exchange, OnSpark, done_here
from clip_spark.runtime.session import SessionSource
from clip_spark.texts import corpus
from clip_spark.texts.ngrams.examples.lines import FindLines, WriteLines
from clip_spark.texts.ngrams.examples.spec import SampleLinesSpec
from clip_spark.texts.specs import CountSpec

STEP = "sample-lines"
SHARD_NGRAMS = 50_000
MOST_NGRAMS = 1_000_000
"""That each worker holds: about 100 bytes each."""
FORM = ("lower", "nfkc", "tokenizer", "text_field", "encoding", "invalid_utf8")
BATCH_ROWS = 65_536


def sample_lines(get_spark: SessionSource, spec: SampleLinesSpec) -> Manifest:
    """*Driver.* Keep some lines of each n-gram.

    Raises:
        InputError: there are no n-grams, too many, or nobody knows of what corpus.
    """
    ngrams = read_manifest(spec.ngrams, "counts", "records")
    counts = counts_of(ngrams)
    places = spec.corpus or tuple(filter(None, counts.inputs["corpus"]["uri"].split(",")))
    form = CountSpec(corpus=places, output=counts.uri, **{n: counts.spec[n] for n in FORM if n in counts.spec})
    files = corpus.list_corpus(places).files
    shards = spec.shards or max(1, -(-ngrams.rows // SHARD_NGRAMS))
    inputs = {"ngrams": ngrams.as_input(), "corpus": corpus.as_input(files, places)}
    run = begin_run(spec.output, Plan.of("examples", spec, inputs, shards), overwrite=spec.overwrite)
    if run.manifest:
        return run.manifest
    if run.pending():
        splits = corpus.plan_splits(files, 0, lambda file: corpus.look(file.uri, form.encoding))
        find = partial(_find, spec=spec, run=run, form=form, wanted=_wanted(ngrams), splits=splits)
        if not done_here(get_spark, STEP, len(splits), find):
            find(OnSpark(get_spark(), STEP))
    found = sum(int(receipt.counters["ngrams"]) for receipt in run.receipts())
    return run.commit(
        {"ngrams": found, "without_a_line": ngrams.rows - found, "form": {n: getattr(form, n) for n in FORM}}
    )


def _find(
    exchange: Exchange,
    spec: SampleLinesSpec,
    run: Run,
    form: CountSpec,
    wanted: frozenset[str],
    splits: Sequence[corpus.Split],
) -> None:
    """*Driver.* Write the shards that are pending."""
    pending, shards = frozenset(run.pending()), run.plan.shards
    orders = tuple(sorted({text.count(" ") + 1 for text in wanted}))
    find = FindLines(form, exchange.share(wanted), orders, spec.examples, spec.length, pending, shards)
    exchange.deal(splits, find, shards, WriteLines(run.output, run.plan.fingerprint, spec.examples, pending))


def counts_of(ngrams: Manifest) -> Manifest:
    """*Driver.* The count that n-grams come from; raises InputError where it is gone, or they come from no count."""
    if ngrams.kind == "counts":
        return ngrams
    if "counts" not in ngrams.inputs:
        raise InputError(f"'{ngrams.uri}' holds records that are no n-grams; --ngrams takes what filter-ngrams made.")
    return read_manifest(ngrams.inputs["counts"]["uri"], "counts")


def _wanted(ngrams: Manifest) -> frozenset[str]:
    if ngrams.rows > MOST_NGRAMS:
        raise InputError(
            f"'{ngrams.uri}' holds {ngrams.rows:,} n-grams, and workers hold at most {MOST_NGRAMS:,}; give the records "
            "of filter-ngrams, or count with a higher --min-count."
        )
    found: list[str] = []
    for uri in ngrams.files("counts" if ngrams.kind == "counts" else "records"):
        with storage.open_read(uri) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(BATCH_ROWS, columns=["text"]):
                found += batch.column(0).to_pylist()
    return frozenset(found)


def preview(manifest: Manifest) -> Sequence[Table]:
    """*Driver.* A few n-grams with a line of each."""
    with storage.open_read(manifest.files("examples")[0]) as stream:
        batch = next(pq.ParquetFile(stream).iter_batches(5, columns=["text", "line"]), None)
    rows = [tuple(row.values()) for row in batch.to_pylist()] if batch is not None else []
    return [Table("examples", ("n-gram", "line"), rows)]
