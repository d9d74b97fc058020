"""*Worker.* Text to tokens, a block at a time, without a Python step per token.

Every character has a class (white space, word, other); a token is a run of one class that is not white space: those
of nltk's pattern `\\w+|[^\\w\\s]+` on every input (as `re` reads it, and nltk did up to 3.9; nltk 3.10 uses the package
`regex`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from clip_spark.texts.ngrams.counting.characters import OTHER, SPACE, WORD, class_table, classed
from clip_spark.texts.specs import CountSpec

BEFORE, BEHIND = b" ", b" " * 16
"""Around a block, so that each token has something before it, and two words of memory can be read behind its end."""


class Tokens(NamedTuple):
    """Tokens in the order of the text; one that begins with `\\n` (of one or several) stands between lines.

    Attributes:
        data: UTF-8; BEHIND is at its end.
        starts: int64 (tokens,), where in it each begins.
        ends: int64 (tokens,), where it ends.
    """

    data: bytes
    starts: np.ndarray
    ends: np.ndarray

    def words(self) -> list[str]:
        """*Pure.* The tokens as text."""
        return [self.data[a:b].decode() for a, b in zip(self.starts.tolist(), self.ends.tolist(), strict=True)]


class RunTokenizer:
    """*Worker.* Tokens are runs of one class: wordpunct, or runs of anything but white space."""

    def __init__(self, *, lower: bool, nfkc: bool = False, punctuation_apart: bool = True) -> None:
        self._lower = lower
        self._nfkc = nfkc
        self._table = class_table(OTHER if punctuation_apart else WORD)

    def __call__(self, block: bytes) -> Tokens:
        """Tokens of a block of UTF-8."""
        if self._nfkc and not block.isascii():
            block = unicodedata.normalize("NFKC", block.decode()).encode()
        data, classes, places = classed(BEFORE + block + BEHIND, self._table, self._lower)
        changes, full = classes[1:] != classes[:-1], classes != SPACE
        starts, ends = np.flatnonzero(changes & full[1:]) + 1, np.flatnonzero(changes & full[:-1]) + 1
        return Tokens(data, starts, ends) if places is None else Tokens(data, places[starts], places[ends])


class RegexTokenizer:
    """*Worker.* Tokens are the matches of a regular expression, line by line; white space inside one becomes `_`."""

    def __init__(self, pattern: str, *, lower: bool, nfkc: bool = False) -> None:
        self._pattern = re.compile(pattern)
        self._lower = lower
        self._nfkc = nfkc

    def __call__(self, block: bytes) -> Tokens:
        """Tokens of a block of UTF-8."""
        text = unicodedata.normalize("NFKC", block.decode()) if self._nfkc else block.decode()
        lines = (text.lower() if self._lower else text).split("\n")
        tokens = [token.encode() for line in lines for token in (*self._find(line), "\n")]
        if not block.endswith(b"\n"):
            tokens.pop()
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        ends = np.cumsum(lengths)
        return Tokens(b"".join([*tokens, BEHIND]), ends - lengths, ends)

    def _find(self, line: str) -> Iterator[str]:
        found = ("_".join(match[0].split()) for match in self._pattern.finditer(line))
        return filter(None, found)


Tokenizer = RunTokenizer | RegexTokenizer


def make_tokenizer(spec: CountSpec) -> Tokenizer:
    """*Worker.* The tokenizer that a spec names."""
    name, _, pattern = spec.tokenizer.partition(":")
    if name == "regex":
        return RegexTokenizer(pattern, lower=spec.lower, nfkc=spec.nfkc)
    return RunTokenizer(lower=spec.lower, nfkc=spec.nfkc, punctuation_apart=name == "wordpunct")


def find_words(tokenizer: Tokenizer, line: str) -> list[str]:
    """*Pure.* The tokens of one line of text, in order, as the counts have them."""
    return tokenizer(line.encode()).words()
