"""*Driver.* count-ngrams: corpus -> counts.

splits --count_split--> partial counts by key --shuffle--> sum, cut, sort --> counts/00000.parquet
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from clip_spark import corpus, schema
from clip_spark.corpus import Split
from clip_spark.manifest import Manifest, Plan, Run, begin_run
from clip_spark.ngrams import totals
from clip_spark.session import SessionSource
from clip_spark.shards import Receipt, ShardWriter
from clip_spark.specs.text import CountSpec
from clip_spark.tasks import collect
from clip_spark.text import decode, tokenize

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STEP = "count-ngrams"
SHARD_BYTES = 32 << 20
"""Bytes of corpus per shard of counts."""
NGram = tuple[int, str]
"""Order and text (tokens joined by one space)."""


def count_ngrams(get_spark: SessionSource, spec: CountSpec) -> Manifest:
    """*Driver.* Count every n-gram of a corpus, exactly; see CountSpec.

    Raises:
        InputError: the corpus is missing or empty.
        OutputError: the output folder holds another run.
    """
    files = corpus.list_corpus(spec.corpus)
    shards = spec.shards or max(1, -(-sum(file.weight for file in files) // SHARD_BYTES))
    plan = Plan.of("counts", spec, {"corpus": corpus.as_input(files, spec.corpus)}, shards)
    run = begin_run(spec.output, plan, overwrite=spec.overwrite)
    if run.manifest:
        return run.manifest
    if run.pending():
        _count(get_spark(), spec, run, corpus.plan_splits(files))
    return run.commit(totals.extra(spec.least(), run.receipts()))


def _count(spark: SparkSession, spec: CountSpec, run: Run, splits: list[Split]) -> None:
    shards = run.plan.shards
    counted = spark.sparkContext.parallelize(splits, len(splits)).flatMap(_CountSplit(spec, shards))
    merged = counted.partitionBy(shards, int).mapPartitionsWithIndex(
        _WriteShard(spec, run.output, run.plan.fingerprint)
    )
    collect(spark, STEP, merged, len(splits) + shards)


@dataclass(frozen=True)
class _CountSplit:
    """*Worker.* (shard number, partial counts or totals) pairs of one split."""

    spec: CountSpec
    shards: int

    def __call__(self, split: Split) -> Iterator[tuple[int, tuple[Counter[NGram], Counter[str]]]]:
        sums: Counter[str] = Counter()
        parts: list[Counter[NGram]] = [Counter() for _ in range(self.shards)]
        for piece in split:
            for line in corpus.read_lines(piece):
                tokens = tokenize(decode(line), lower=self.spec.lower)
                sums.update(totals.of_line(len(line) + 1, len(tokens), self.spec.orders))
                for n in self.spec.orders:
                    for words in zip(*(tokens[i:] for i in range(n)), strict=False):
                        text = " ".join(words)
                        parts[zlib.crc32(text.encode()) % self.shards][n, text] += 1
        for shard, part in enumerate(parts):
            yield shard, (part, sums if shard == 0 else Counter())


@dataclass(frozen=True)
class _WriteShard:
    """*Worker.* Sums the partial counts of one shard, cuts, sorts and writes it."""

    spec: CountSpec
    output: str
    plan: str

    def __call__(self, shard: int, parts: Iterable[tuple[int, Any]]) -> Iterator[Receipt]:
        counts: Counter[NGram] = Counter()
        with ShardWriter(self.output, self.plan, shard, {"counts": schema.COUNTS}) as writer:
            for _, (part, sums) in parts:
                counts.update(part)
                writer.counters.update(sums)
            least = self.spec.least()
            kept = sorted((n, -count, text) for (n, text), count in counts.items() if count >= least[n])
            writer.counters.update(totals.distinct(n for n, _ in counts))
            writer.counters.update(totals.survivors(n for n, _, _ in kept))
            columns = [pa.array([row[i] for row in kept], pa.int64()) for i in (0, 1)]
            texts = pa.array([row[2] for row in kept], pa.string())
            negated = pc.negate(columns[1])
            writer.write("counts", pa.table([columns[0].cast(pa.int32()), texts, negated], schema=schema.COUNTS))
            yield writer.finish()
