"""*Driver and worker.* The words that get a number: frequent enough to be part of an n-gram that is kept.

Words are numbered from 1 by falling count. 0 stands for a line end and for every word without a number. A vocabulary
is bounded: where it does not hold all frequent words, the n-grams with one of the others travel as text
(`unnumbered`), so the bound costs time and never a count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark.ngrams.coding import Coded

LEAST_BITS = 8
SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""An odd number near 2**64 / golden ratio: multiplying by it spreads neighbours over all high bits."""
WORDS = pa.schema([("word", pa.binary()), ("count", pa.int64())])


@dataclass(frozen=True)
class Vocabulary:
    """Words with numbers; broadcast to all workers.

    Attributes:
        words: UTF-8, binary (V,), by falling count, equal counts by bytes; number i + 1 is words[i].
        counts: int64 (V,).
        complete: False if a word that is as frequent as some of these was left out.
    """

    words: pa.Array
    counts: np.ndarray
    complete: bool

    @property
    def bits(self) -> int:
        """Bits of a number."""
        return max(LEAST_BITS, len(self.words).bit_length())

    def numbers(self, words: pa.Array) -> np.ndarray:
        """*Worker.* Number of each word, uint64 (v,); 0 if it has none."""
        found = pc.index_in(words, self.words).fill_null(-1).to_numpy()
        return (found.astype(np.int64) + 1).astype(np.uint64)


def part_of_words(words: pa.Array, parts: int) -> np.ndarray:
    """*Worker.* Which of `parts` shards counts each word, int64 (v,); from its length and first eight bytes."""
    offsets = np.frombuffer(words.buffers()[1], np.int32, len(words) + 1, words.offset * 4)
    data = np.frombuffer(bytes(words.buffers()[2] or b"") + bytes(8), np.uint8)
    first8 = np.lib.stride_tricks.as_strided(data[:8].view("<u8"), (len(data) - 7,), (1,))
    lengths = np.diff(offsets)
    shifts = (8 * np.maximum(8 - lengths, 0)).astype(np.uint64)
    key = (first8[offsets[:-1]] << shifts) + lengths.astype(np.uint64)
    return ((key * SPREAD >> np.uint64(40)) * np.uint64(parts) >> np.uint64(24)).astype(np.int64)


def split_words(coded: Coded, parts: int) -> list[pa.Table]:
    """*Worker.* The words of a split with their counts, by the shard that sums them up."""
    table = pa.table([coded.words, pa.array(coded.counts)], schema=WORDS).filter(pa.array(coded.is_word))
    part = part_of_words(table["word"].combine_chunks(), parts)
    order = np.argsort(part, kind="stable")
    cuts = np.searchsorted(part[order], np.arange(parts + 1))
    table = table.take(pa.array(order))
    return [table.slice(a, b - a).combine_chunks() for a, b in zip(cuts[:-1], cuts[1:], strict=True)]


def sum_words(tables: Sequence[pa.Table]) -> pa.Table:
    """*Pure.* One row per word, by falling count, equal counts by bytes."""
    table = pa.concat_tables([WORDS.empty_table(), *tables])
    summed = table.group_by("word", use_threads=False).aggregate([("count", "sum")])
    table = pa.table([summed["word"], summed["count_sum"]], schema=WORDS)
    return table.sort_by([("count", "descending"), ("word", "ascending")]).combine_chunks()


def most_frequent(summed: pa.Table, least: int, most_words: int) -> tuple[pa.Table, bool]:
    """*Pure.* Of summed words those that are counted `least` times, at most `most_words`; and whether these are all."""
    frequent = summed.filter(pc.greater_equal(summed["count"], least))
    return frequent.slice(0, most_words).combine_chunks(), frequent.num_rows <= most_words


def make_vocabulary(parts: Sequence[tuple[pa.Table, bool]]) -> Vocabulary:
    """*Driver.* Put the frequent words of all shards together."""
    table = pa.concat_tables([WORDS.empty_table(), *(words for words, _ in parts)])
    table = table.sort_by([("count", "descending"), ("word", "ascending")]).combine_chunks()
    words = table["word"].combine_chunks()
    return Vocabulary(words, table["count"].to_numpy(), all(complete for _, complete in parts))
