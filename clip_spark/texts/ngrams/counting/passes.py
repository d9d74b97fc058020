"""*Worker.* What the tasks of count-ngrams do: two passes over the splits and, after each, a sum by shard.

FirstPass    split -> its words                                    SumWords    words -> the frequent ones
SecondPass   split -> sorted keys of its n-grams, and its words    WriteShard  keys, words -> a shard of counts

Where a count is added to, the shards of that count stand behind the splits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip_spark.datasets import schema
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.texts.ngrams.counting import growth, vocabulary
from clip_spark.texts.ngrams.counting import rare_words as unnumbered
from clip_spark.texts.ngrams.counting import sorted_runs as runs
from clip_spark.texts.ngrams.counting.coded_split import Coded
from clip_spark.texts.ngrams.counting.counted_shard import CountedShard, Keys
from clip_spark.texts.ngrams.counting.growth import COUNTED, GROUPS, SplitWords
from clip_spark.texts.ngrams.counting.packed_keys import Layout
from clip_spark.texts.ngrams.counting.source import NumberedSplit, Source
from clip_spark.texts.ngrams.counting.vocabulary import FrequentWords, Vocabulary
from clip_spark.texts.ngrams.counting.write_shard import Part, write_counts

CHUNK_POSITIONS = 1 << 15
"""Positions of a text that are packed at once, so that they stay in a core's cache."""
COUNT_POSITIONS = 1 << 22
"""Positions whose keys are held and sorted at once: 32 MiB, all of a usual split."""
Item = NumberedSplit | CountedShard


@dataclass(frozen=True)
class FirstPass:
    """*Worker.* (part, SplitWords) of one split, or of a shard that is counted."""

    source: Source
    splits: int
    parts: int

    def __call__(self, item: Item) -> Iterator[tuple[int, SplitWords]]:
        if isinstance(item, CountedShard):
            for part, words in enumerate(item.words(self.parts)):
                yield part, SplitWords(COUNTED, words, [])
            return
        coded = self.source.read(item)
        group = item[0] * GROUPS // self.splits
        points = growth.beginning(coded) if item[0] == 0 else []
        for part, words in enumerate(vocabulary.split_words(coded, self.parts)):
            yield part, SplitWords(group, words, points if part == 0 else [])


@dataclass(frozen=True)
class SumWords:
    """*Worker.* The frequent words of one part."""

    least: int
    most_words: int

    def __call__(self, _part: int, items: Iterable[tuple[int, SplitWords]]) -> Iterator[FrequentWords]:
        parts = sorted((part for _, part in items), key=lambda part: part.group)
        summed = vocabulary.sum_words([part.words for part in parts])
        yield vocabulary.most_frequent(summed, self.least, self.most_words, growth.measure(parts))


@dataclass(frozen=True)
class SecondPass:
    """*Worker.* (shard, Part) of one split, or of a shard that is counted.

    Attributes:
        source: where splits are.
        words: broadcast Vocabulary.
        pending: the shards that are still to be written.
    """

    source: Source
    words: Any
    pending: frozenset[int]

    def __call__(self, item: Item) -> Iterator[tuple[int, Part]]:
        watch = Stopwatch()
        if isinstance(item, CountedShard):
            with watch("sort"):
                parts = self._of_counted(item)
        else:
            coded = self.source.read(item)
            with watch("sort"):
                parts = self._of_split(coded)
        seconds = watch.seconds["sort"] / max(1, len(self.pending))
        for shard in sorted(self.pending):
            yield shard, parts[shard]._replace(seconds=seconds)

    def _of_split(self, coded: Coded) -> list[Part]:
        shards = self.source.shards
        words = vocabulary.split_words(coded, shards) if self._sums_words() else [None] * shards
        keys, texts = self._longer(coded)
        return [Part(*of_shard) for of_shard in zip(words, keys, texts, strict=True)]

    def _of_counted(self, item: CountedShard) -> list[Part]:
        shards, orders = self.source.shards, self._longer_orders
        words = item.words(shards) if self._sums_words() else [None] * shards
        counted: list[Keys] = [{}] * shards
        texts: list[Any] = [None] * shards
        if orders:
            counted, texts = item.longer(self.words.value, orders, shards)
        return [Part(words[at], b"", texts[at], counted=counted[at]) for at in range(shards)]

    @property
    def _longer_orders(self) -> list[int]:
        return [n for n in self.source.spec.orders if n > 1]

    def _sums_words(self) -> bool:
        """*Worker.* True if single words are wanted that the vocabulary does not hold."""
        least = self.source.spec.least()
        return 1 in least and (self.words is None or not self.words.value.knows_words(least[1]))

    def _longer(self, coded: Coded) -> tuple[list[bytes], list[Any]]:
        """*Worker.* The n-grams of two and more words, by shard."""
        orders, shards = self._longer_orders, self.source.shards
        if not orders:
            return [b""] * shards, [None] * shards
        known: Vocabulary = self.words.value
        numbers = known.numbers(coded.words)
        layout = Layout(known.bits, max(orders))
        starts = range(0, max(1, len(coded.codes)), COUNT_POSITIONS)
        run = runs.merge_all(
            (runs.count_keys(pack_text(numbers, coded.codes, layout, start)) for start in starts), layout
        )
        keys = list(runs.encode_parts(run, layout.cuts(run.columns, shards)))
        if known.complete:
            return keys, [None] * shards
        return keys, unnumbered.split_texts(coded, numbers, orders, shards)


def pack_text(numbers: np.ndarray, codes: np.ndarray, layout: Layout, start: int) -> tuple[np.ndarray, ...]:
    """*Worker.* Keys of the n-grams that begin in codes [start, start + COUNT_POSITIONS), in the order of the text."""
    beyond = layout.order - 1
    end = min(start + COUNT_POSITIONS, len(codes))
    numbers = np.append(numbers, np.uint64(0))
    part = np.full(end - start + beyond, len(numbers) - 1, np.int32)
    found = codes[start : end + beyond]
    part[: len(found)] = found
    keys = [np.empty(end - start, np.uint64) for _ in layout.widths]
    filled = 0
    for first in range(0, end - start, CHUNK_POSITIONS):
        chunk = layout.pack(numbers.take(part[first : first + CHUNK_POSITIONS + beyond], mode="clip"))
        for column, values in zip(keys, chunk, strict=True):
            column[filled : filled + len(values)] = values
        filled += len(chunk[0])
    return tuple(column[:filled] for column in keys)


@dataclass(frozen=True)
class WriteShard:
    """*Worker.* Sums the parts of one shard, cuts by min count and writes it."""

    source: Source
    words: Any
    pending: frozenset[int]

    def __call__(self, shard: int, items: Iterable[tuple[int, Part]]) -> Iterator[Receipt]:
        if shard not in self.pending:
            return
        known: Vocabulary | None = self.words.value if self.words is not None else None
        source = self.source
        with ShardWriter(source.output, source.plan, shard, {"counts": schema.COUNTS}) as writer:
            write_counts(writer, (part for _, part in items), source.spec.least(), known, source.shards)
            yield writer.finish()
