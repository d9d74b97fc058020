"""*Worker.* Lines in which n-grams stand: a sample that depends on the lines alone, not on how the corpus is cut.

Each line has a hash; of an n-gram the different lines with the smallest hashes are kept. So samples of parts of a
corpus merge to the sample of the whole, whatever the parts are.
"""

from __future__ import annotations

import hashlib
import re
from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa

from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.shards import ShardWriter
from clip_spark.texts import corpus
from clip_spark.texts.corpus import Account, Split
from clip_spark.texts.corpus.account import printable
from clip_spark.texts.lines import decode, is_utf8
from clip_spark.texts.ngrams.counting.tokenizer import Tokenizer, find_words, make_tokenizer
from clip_spark.texts.specs import CountSpec

EXAMPLES = pa.schema([("text", pa.string()), ("n", pa.int32()), ("line", pa.string()), ("source", pa.string())])
MOST_LINE_BYTES = 1 << 20
"""Longer lines are no example of anything."""


class Found(NamedTuple):
    """One line in which an n-gram stands; of two the smaller is kept, and of the same line the first source."""

    hash: int
    line: str
    source: str


Kept = dict[str, list[Found]]
"""n-gram -> its lines, the smallest first."""


def hash_of(text: str) -> int:
    """*Pure.* 64 bits, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def keep(kept: Kept, ngram: str, found: Found, most: int) -> None:
    """*Pure.* Add a line to those of an n-gram, each line once, at most so many."""
    lines = kept.setdefault(ngram, [])
    for at, one in enumerate(lines):
        if one[:2] == found[:2]:
            lines[at] = min(one, found)
            return
    insort(lines, found)
    del lines[most:]


@dataclass(frozen=True)
class FindLines:
    """*Worker.* (shard, n-grams with lines) of one split; picklable.

    Attributes:
        form: how the n-grams were counted.
        wanted: broadcast frozenset of n-grams.
        orders: their lengths.
        examples: lines of each.
        length: most characters of a line.
        pending: shards that are still to be written.
        shards: of all.
    """

    form: CountSpec
    wanted: Any
    orders: tuple[int, ...]
    examples: int
    length: int
    pending: frozenset[int]
    shards: int

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return make_tokenizer(self.form)

    def __call__(self, split: Split) -> Iterator[tuple[int, Kept]]:
        kept: Kept = {}
        for source, text in self._lines(split):
            for ngram, found in self._of_line(source, text, kept):
                keep(kept, ngram, found, self.examples)
        parts: dict[int, Kept] = {number: {} for number in self.pending}
        for ngram, lines in kept.items():
            if (number := hash_of(ngram) % self.shards) in parts:
                parts[number][ngram] = lines
        yield from parts.items()

    def _lines(self, split: Split) -> Iterator[tuple[str, str]]:
        """(File, line) of all lines, as the count has read them; of a damaged file those before the damage."""
        for piece in split:
            source = printable(piece.uri)
            try:
                blocks = corpus.read_text(piece, self.form.text_field, Account(), self.form.encoding)
                for line in self._usable(blocks):
                    yield source, decode(line)
            except Exception as error:
                if not corpus.is_damage(error):
                    raise

    def _usable(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for line in corpus.lines_of(blocks):
            if len(line) <= MOST_LINE_BYTES and (self.form.invalid_utf8 == "replace" or is_utf8(line)):
                yield line

    def _of_line(self, source: str, text: str, kept: Kept) -> Iterator[tuple[str, Found]]:
        """The wanted n-grams of a line for which it may be among the first."""
        words, wanted, number = find_words(self._tokenizer, text), self.wanted.value, -1
        here = {" ".join(words[i : i + n]) for n in self.orders for i in range(len(words) - n + 1)}
        for ngram in here & wanted:
            number = hash_of(text.strip()) if number < 0 else number
            before = kept.get(ngram, [])
            if len(before) < self.examples or number <= before[-1].hash:
                yield ngram, Found(number, cut_around(text, ngram, self.length), source)


def cut_around(line: str, ngram: str, most: int) -> str:
    """*Pure.* At most so many characters of a line, among which the n-gram is, if it is found by its words."""
    plain = " ".join(line.split())
    if len(plain) <= most:
        return plain
    found = re.search(r"\s*".join(map(re.escape, ngram.split(" "))), plain, re.IGNORECASE)
    middle = (found.start() + found.end()) // 2 if found else 0
    start = max(0, min(middle - most // 2, len(plain) - most))
    return plain[start : start + most]


@dataclass(frozen=True)
class WriteLines:
    """*Worker.* Merges what splits have found for one shard, and writes it; picklable."""

    output: str
    plan: str
    examples: int
    pending: frozenset[int]

    def __call__(self, shard: int, items: Iterable[tuple[int, Kept]]) -> Iterator[Receipt]:
        if shard not in self.pending:
            return
        kept: Kept = {}
        for _, part in items:
            for ngram, lines in part.items():
                for found in lines:
                    keep(kept, ngram, found, self.examples)
        rows = [(ngram, ngram.count(" ") + 1, one.line, one.source) for ngram in sorted(kept) for one in kept[ngram]]
        with ShardWriter(self.output, self.plan, shard, {"examples": EXAMPLES}) as writer:
            named = [dict(zip(EXAMPLES.names, row, strict=True)) for row in rows]
            writer.write("examples", pa.Table.from_pylist(named, EXAMPLES))
            writer.counters["ngrams"] += len(kept)
            yield writer.finish()
