"""*Worker.* n-grams as integers: the numbers of the words side by side, in as few 64-bit columns as hold them.

The longest order is packed; the shorter ones are its prefixes. With 19 bits a trigram is one column:

    | spread(word 1, word 2)  38 bits | word 3  19 bits |

The first two words are multiplied by an odd number modulo 2**38, which is a bijection: it spreads them evenly, so
that equal ranges of the first column are shards of about equal work, and it can be undone. Keys sorted by value are
also sorted by every prefix, so one sort counts all orders. Nothing is hashed: two n-grams never share a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clip_spark.texts.ngrams.counting.word_lookup import SPREAD

Columns = tuple[np.ndarray, ...]
"""Key columns, uint64 (rows,) each; the first one is the most significant."""
UNSPREAD = np.uint64(pow(int(SPREAD), -1, 1 << 64))
PART_BITS = 16
"""Shards are ranges of so many high bits of the spread pair."""


@dataclass(frozen=True)
class Layout:
    """Where the words of an n-gram are in its key.

    Attributes:
        bits: bits of a word's number, 8 to 32.
        order: words of the longest n-gram, at least 2.
    """

    bits: int
    order: int

    @property
    def per_column(self) -> int:
        """Words in one 64-bit column."""
        return 64 // self.bits

    @property
    def widths(self) -> tuple[int, ...]:
        """Words in each column; at least two in the first."""
        full, rest = divmod(self.order, self.per_column)
        return (self.per_column,) * full + ((rest,) if rest else ())

    def _tail_bits(self) -> int:
        return (self.widths[0] - 2) * self.bits

    def _word_mask(self) -> np.uint64:
        return np.uint64((1 << self.bits) - 1)

    def _pair_mask(self) -> np.uint64:
        return np.uint64((1 << 2 * self.bits) - 1)

    def pack(self, numbers: np.ndarray) -> Columns:
        """*Worker.* The keys of all n-grams of at least two words that begin in a text.

        Args:
            numbers: uint64 (positions + order - 1,); 0 ends an n-gram.

        Returns:
            Keys in the order of the text; words behind a 0 are 0.
        """
        positions = len(numbers) - self.order + 1
        begins = (numbers[:positions] != 0) & (numbers[1 : positions + 1] != 0)
        return tuple(column[begins] for column in self.columns_of(self._words(numbers, positions)))

    def columns_of(self, words: Iterator[np.ndarray]) -> Columns:
        """*Worker.* Keys of n-grams of which the first words are given, then the second, ...: uint64 (rows,) each."""
        columns = []
        for index, width in enumerate(self.widths):
            column = next(words).copy()
            for inside in range(1, width):
                column <<= np.uint64(self.bits)
                column |= next(words)
                if index == 0 and inside == 1:
                    column *= SPREAD
                    column &= self._pair_mask()
            columns.append(column)
        return tuple(columns)

    def _words(self, numbers: np.ndarray, positions: int) -> Iterator[np.ndarray]:
        """*Worker.* First, second, ... word at every position; all are 0 behind one that is."""
        word = numbers[:positions]
        for place in range(self.order):
            before, word = word, numbers[place : place + positions]
            yield word if place <= 2 else (word := word * (before != 0))

    def word(self, columns: Columns, place: int) -> np.ndarray:
        """*Worker.* The numbers of the words at `place` (0 is the first), uint64 (rows,)."""
        if place < 2:
            pair = (columns[0] >> np.uint64(self._tail_bits())) * UNSPREAD
            pair &= self._pair_mask()
            return (pair >> np.uint64((1 - place) * self.bits)) & self._word_mask()
        index, inside = divmod(place, self.per_column)
        shift = np.uint64((self.widths[index] - 1 - inside) * self.bits)
        return (columns[index] >> shift) & self._word_mask()

    def prefix(self, columns: Columns, words: int) -> Columns:
        """*Worker.* Keys cut to their first `words` words; equal if and only if those words are."""
        kept = []
        for index, width in enumerate(self.widths):
            inside = min(width, words - sum(self.widths[:index]))
            if inside > 0:
                kept.append(columns[index] >> np.uint64((width - inside) * self.bits))
        return tuple(kept)

    def begun(self, columns: Columns, words: int) -> Columns:
        """*Worker.* Whole keys of which only the first `words` words are left; those behind them are 0."""
        found = []
        for index, width in enumerate(self.widths):
            shift = np.uint64((width - min(width, max(0, words - sum(self.widths[:index])))) * self.bits)
            found.append(columns[index] >> shift << shift if shift < 64 else np.zeros_like(columns[index]))
        return tuple(found)

    def cuts(self, columns: Columns, parts: int) -> np.ndarray:
        """*Worker.* Row numbers (parts + 1,) where the shards of sorted keys begin."""
        shift = 2 * self.bits - PART_BITS + self._tail_bits()
        firsts = [(-(-(part << PART_BITS) // parts)) << shift for part in range(1, parts)]
        inner = np.searchsorted(columns[0], np.array(firsts, np.uint64))
        return np.concatenate([[0], inner, [len(columns[0])]])


def slices(cuts: np.ndarray) -> Iterator[slice]:
    """*Pure.* The ranges between neighbouring cuts."""
    for start, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        yield slice(start, end)
