"""*Anywhere.* The words that get a number: frequent enough to be part of an n-gram that is kept.

Words are numbered from 1 by falling count. 0 stands for a line end and for every word without a number. A vocabulary
is bounded: where it does not hold all frequent words, the n-grams with one of the others travel as text
(`unnumbered`), so the bound costs time and never a count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark.texts.ngrams.counting.coded_split import Coded
from clip_spark.texts.ngrams.counting.growth import Growth
from clip_spark.texts.ngrams.counting.word_lookup import SPREAD, WordLookup, first_bytes

LEAST_BITS = 8
WORDS = pa.schema([("word", pa.binary()), ("count", pa.int64())])


@dataclass(frozen=True)
class Vocabulary:
    """Words with numbers; broadcast to all workers.

    Attributes:
        words: UTF-8, binary (V,), by falling count, equal counts by bytes; number i + 1 is words[i].
        counts: int64 (V,).
        least: every word here was counted at least so often.
        complete: False if a word that is counted `least` times was left out.
        distinct: different words of the corpus, rare ones too.
        lookup: finds words; made once, on the driver, so that workers that map it need not each make their own.
    """

    words: pa.Array
    counts: np.ndarray
    least: int
    complete: bool
    distinct: int
    lookup: WordLookup

    @property
    def bits(self) -> int:
        """Bits of a number."""
        return max(LEAST_BITS, len(self.words).bit_length())

    def knows_words(self, at_least: int) -> bool:
        """*Pure.* True if it holds every word that is counted `at_least` times."""
        return self.complete and at_least >= self.least

    def numbers(self, words: pa.Array) -> np.ndarray:
        """*Worker.* Number of each word, uint64 (v,); 0 if it has none."""
        return (self.lookup(words) + 1).astype(np.uint64)


def part_of_words(words: pa.Array, parts: int) -> np.ndarray:
    """*Worker.* Which of `parts` shards counts each word, int64 (v,); from its length and first eight bytes."""
    values, lengths = first_bytes(words)
    key = values + lengths.astype(np.uint64)
    return ((key * SPREAD >> np.uint64(40)) * np.uint64(parts) >> np.uint64(24)).astype(np.int64)


def split_words(coded: Coded, parts: int) -> list[pa.Table]:
    """*Worker.* The words of a split with their counts, by the shard that sums them up."""
    table = pa.table([coded.words, pa.array(coded.counts)], schema=WORDS).filter(pa.array(coded.is_word))
    return deal_words(table, parts)


def deal_words(table: pa.Table, parts: int) -> list[pa.Table]:
    """*Worker.* Words with their counts (WORDS), by the shard that sums them up."""
    part = part_of_words(table["word"].combine_chunks(), parts)
    order = np.argsort(part, kind="stable")
    cuts = np.searchsorted(part[order], np.arange(parts + 1))
    # `take`, not `slice`: a slice is pickled with all the bytes of the table that it was cut from.
    return [table.take(pa.array(order[a:b])) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]


def sum_words(tables: Sequence[pa.Table]) -> pa.Table:
    """*Pure.* One row per word, by falling count, equal counts by bytes."""
    table = pa.concat_tables([WORDS.empty_table(), *tables])
    summed = table.group_by("word", use_threads=False).aggregate([("count", "sum")])
    table = pa.table([summed["word"], summed["count_sum"]], schema=WORDS)
    return table.sort_by([("count", "descending"), ("word", "ascending")]).combine_chunks()


class FrequentWords(NamedTuple):
    """What one part tells the driver.

    Attributes:
        words: its frequent words (WORDS).
        complete: whether these are all.
        distinct: how many different words it has.
        growth: see growth.py.
    """

    words: pa.Table
    complete: bool
    distinct: int
    growth: Growth


def most_frequent(summed: pa.Table, least: int, most_words: int, growth: Growth) -> FrequentWords:
    """*Pure.* Of summed words those that are counted `least` times, at most `most_words`."""
    frequent = summed.filter(pc.greater_equal(summed["count"], least))
    kept = frequent.take(pa.array(np.arange(min(most_words, frequent.num_rows))))
    return FrequentWords(kept, frequent.num_rows <= most_words, summed.num_rows, growth)


def make_vocabulary(parts: Sequence[FrequentWords], least: int) -> Vocabulary:
    """*Driver.* Put the frequent words of all parts together."""
    table = pa.concat_tables([part.words for part in parts])
    table = table.sort_by([("count", "descending"), ("word", "ascending")]).combine_chunks()
    words, counts = table["word"].combine_chunks(), table["count"].to_numpy()
    complete = all(part.complete for part in parts)
    return Vocabulary(words, counts, least, complete, sum(part.distinct for part in parts), WordLookup(words))
