"""*Worker.* One shard of counts: the parts of all splits summed, cut by min count, turned into text and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark.datasets import schema
from clip_spark.datasets.shards import ShardWriter
from clip_spark.texts.ngrams import report as summary
from clip_spark.texts.ngrams.counting import sorted_runs as runs
from clip_spark.texts.ngrams.counting import totals
from clip_spark.texts.ngrams.counting.counted_shard import Keys
from clip_spark.texts.ngrams.counting.packed_keys import Layout
from clip_spark.texts.ngrams.counting.rare_words import sum_texts
from clip_spark.texts.ngrams.counting.sorted_runs import Run
from clip_spark.texts.ngrams.counting.vocabulary import Vocabulary, sum_words

MERGE_TABLES = 64
"""Tables that are held before they are summed up."""


class Part(NamedTuple):
    """What one split tells one shard, or a shard that is counted.

    Attributes:
        words: single words (WORDS), where they are summed up here.
        keys: a run of the longest order, of which the others are beginnings; of a split.
        texts: n-grams that have no key (TEXTS).
        seconds: this shard's share of the time it took to sort the split.
        counted: keys of each order; of a shard that is counted.
    """

    words: pa.Table | None
    keys: bytes
    texts: pa.Table | None
    seconds: float = 0.0
    counted: Keys = {}


class _Gathered:
    """*Worker.* The parts of a shard, sorted by kind; sums up as it goes, so that memory is bounded by the result."""

    def __init__(self, writer: ShardWriter) -> None:
        self.words: list[pa.Table] = []
        self.texts: list[pa.Table] = []
        self._counted: dict[int, list[bytes]] = {}
        self._writer = writer

    def keys(self, parts: Iterable[Part]) -> Iterator[Run]:
        """The runs of all parts; words and texts are put aside on the way."""
        for part in parts:
            self._writer.watch.seconds["sort"] += part.seconds
            if part.words is not None:
                self.words = _added(self.words, part.words, sum_words)
            if part.texts is not None:
                self.texts = _added(self.texts, part.texts, sum_texts)
            for n, keys in part.counted.items():
                self._counted.setdefault(n, []).append(keys)
            if part.keys:
                yield runs.decode(part.keys)

    def added(self, kept: Run, layout: Layout, n: int) -> Run:
        """The n-grams of one order with what was counted before; packed until now, as it came."""
        if n not in self._counted:
            return kept
        counted = map(runs.decode, self._counted.pop(n))
        return runs.merge_all([Run(layout.begun(kept.columns, n), kept.counts), *counted], layout)


def _added(tables: list[pa.Table], table: pa.Table, sum_up: Callable[[Sequence[pa.Table]], pa.Table]) -> list[pa.Table]:
    tables = [*tables, table]
    return [sum_up(tables)] if len(tables) > MERGE_TABLES else tables


def write_counts(
    writer: ShardWriter, parts: Iterable[Part], least: Mapping[int, int], vocabulary: Vocabulary | None, shards: int
) -> None:
    """*Worker.* Write the rows of a shard by order; within an order the most frequent first (see `_by_count`)."""
    gathered = _Gathered(writer)
    layout = Layout(vocabulary.bits, max(least)) if vocabulary is not None else Layout(32, 2)
    with writer.watch("merge"):
        merged = runs.merge_all(gathered.keys(parts), layout)
        texts = sum_texts(gathered.texts)
    for n, at_least in least.items():
        with writer.watch("decode"):
            if n == 1 and vocabulary is not None and vocabulary.knows_words(at_least):
                table = _known_words(vocabulary, at_least, writer, shards)
            elif n == 1 or vocabulary is None:
                table = _words(gathered.words, at_least, writer)
            else:
                kept = gathered.added(runs.prefixes(merged, layout, n), layout, n)
                more = texts.filter(pc.field("n") == n)
                writer.counters[totals.key("distinct", n)] += len(kept) + more.num_rows
                kept, more = runs.filtered(kept, kept.counts >= at_least), more.filter(pc.field("count") >= at_least)
                table = _table(n, _join(kept, layout, vocabulary, n), kept.counts)
                table = pa.concat_tables([table, more.cast(schema.COUNTS)])
        writer.counters[totals.key("survivors", n)] += table.num_rows
        writer.counters.update(summary.frequencies(n, table["count"].to_numpy()))
        writer.write("counts", _by_count(table))


def _words(tables: list[pa.Table], at_least: int, writer: ShardWriter) -> pa.Table:
    summed = sum_words(tables)
    writer.counters[totals.key("distinct", 1)] += summed.num_rows
    kept = summed.filter(pc.field("count") >= at_least)
    return _table(1, kept["word"].combine_chunks().cast(pa.string()), kept["count"].to_numpy())


def _known_words(vocabulary: Vocabulary, at_least: int, writer: ShardWriter, shards: int) -> pa.Table:
    """*Worker.* This shard's share of the words: every `shards`-th number."""
    if writer.number == 0:
        writer.counters[totals.key("distinct", 1)] += vocabulary.distinct
    frequent = int(np.count_nonzero(vocabulary.counts >= at_least))  # they come first
    rows = np.arange(writer.number, frequent, shards)
    return _table(1, vocabulary.words.view(pa.string()).take(pa.array(rows)), vocabulary.counts[rows])


def _join(run: Run, layout: Layout, vocabulary: Vocabulary, n: int) -> pa.Array:
    """*Worker.* The texts of n-grams, words joined by a space."""
    numbers = [layout.word(run.columns, place).astype(np.int64) - 1 for place in range(n)]
    words = vocabulary.words.view(pa.string())
    return pc.binary_join_element_wise(*(words.take(pa.array(number)) for number in numbers), " ")


def _table(n: int, texts: pa.Array, counts: np.ndarray) -> pa.Table:
    return pa.table([pa.array(np.full(len(counts), n, np.int32)), texts, pa.array(counts)], schema=schema.COUNTS)


def _by_count(table: pa.Table) -> pa.Table:
    """*Worker.* Most frequent first, up to 65,535 (16 bits sort ten times as fast); ties stay in the order of keys."""
    counts = table["count"].to_numpy()
    falling = (65_535 - np.minimum(counts, 65_535)).astype(np.uint16)
    return table.take(pa.array(np.argsort(falling, kind="stable")))
