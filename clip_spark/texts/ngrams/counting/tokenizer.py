"""*Worker.* Text to tokens, a block at a time, without a Python step per token.

Every character has a class (white space, word, other); a token is a run of one class that is not white space. On
ASCII lines a character is a byte, and the classes are found by `bytes.translate`; the other lines of a block are
widened to UTF-32 and looked up in a table of all code points, made from Python's own `re`, so that the tokens are
those of nltk's pattern `\\w+|[^\\w\\s]+` on every input (as `re` reads it, and nltk did up to 3.9; nltk 3.10 uses the
package `regex`). Order between lines does not matter: n-grams never cross them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from clip_spark.texts.specs import CountSpec

SPACE, WORD, OTHER, LINE_END = 0, 1, 2, 3
CODE_POINTS = 0x110000
LAST_LETTER = 0x40000
"""No letter, digit or white space lies above (held by a test); looking at fewer starts a worker sooner."""
Tokens = tuple[bytes, np.ndarray]
"""UTF-8 of all tokens without gaps, and the bytes of each (int32); a token `\\n` stands between lines."""


@lru_cache(maxsize=2)
def class_table(other: int = OTHER) -> np.ndarray:
    """*Pure.* Class of every code point, uint8 (0x110000,); `other` = WORD makes tokens end at white space only."""
    classes = np.full(CODE_POINTS, other, np.uint8)
    letters = [chr(point) for point in range(LAST_LETTER)]
    classes[:LAST_LETTER][np.fromiter(map(str.isalnum, letters), bool, LAST_LETTER)] = WORD  # what `re` calls \w
    classes[:LAST_LETTER][np.fromiter(map(str.isspace, letters), bool, LAST_LETTER)] = SPACE  # and \s
    classes[ord("_")] = WORD
    classes[ord("\n")] = LINE_END
    return classes


class RunTokenizer:
    """*Worker.* Tokens are runs of one class: wordpunct, or runs of anything but white space."""

    def __init__(self, *, lower: bool, nfkc: bool = False, punctuation_apart: bool = True) -> None:
        self._lower = lower
        self._nfkc = nfkc
        self._table = class_table(OTHER if punctuation_apart else WORD)
        self._ascii = self._table[:128].tobytes() + bytes(128)
        self._spaces = bytes(i for i in range(128) if self._ascii[i] == SPACE)

    def __call__(self, block: bytes, *, inside_line: bool = False) -> Tokens:
        """Tokens of a block of UTF-8; lines that are not ASCII come last, if the block is made of whole lines."""
        if block.isascii():
            return self._of_ascii(block)
        if inside_line or not block.endswith(b"\n"):
            return self._of_text(block.decode())
        plain, other = split_ascii(block)
        (data, lengths), (more, more_lengths) = self._of_ascii(plain), self._of_text(other.decode())
        return data + more, np.concatenate([lengths, more_lengths])

    def _of_ascii(self, block: bytes) -> Tokens:
        block = block.lower() if self._lower else block
        classes = np.frombuffer(block.translate(self._ascii), np.uint8)
        return block.translate(None, self._spaces), run_lengths(classes)

    def _of_text(self, text: str) -> Tokens:
        text = unicodedata.normalize("NFKC", text) if self._nfkc else text
        text = text.lower() if self._lower else text
        points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        classes = self._table[points]
        lengths = run_lengths(classes)
        points = points[classes != SPACE]
        ends = np.cumsum(utf8_lengths(points))[np.cumsum(lengths) - 1] if len(lengths) else np.zeros(0, np.int64)
        return points.tobytes().decode("utf-32-le").encode(), np.diff(ends, prepend=0).astype(np.int32)


class RegexTokenizer:
    """*Worker.* Tokens are the matches of a regular expression, line by line; white space inside one becomes `_`."""

    def __init__(self, pattern: str, *, lower: bool, nfkc: bool = False) -> None:
        self._pattern = re.compile(pattern)
        self._lower = lower
        self._nfkc = nfkc

    def __call__(self, block: bytes, *, inside_line: bool = False) -> Tokens:
        """Tokens of a block of UTF-8."""
        text = unicodedata.normalize("NFKC", block.decode()) if self._nfkc else block.decode()
        lines = (text.lower() if self._lower else text).split("\n")
        tokens = [token for line in lines for token in (*self._find(line), "\n")]
        if not block.endswith(b"\n"):
            tokens.pop()
        encoded = [token.encode() for token in tokens]
        return b"".join(encoded), np.fromiter(map(len, encoded), np.int32, len(encoded))

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
    data, lengths = tokenizer(line.encode())
    ends = np.cumsum(lengths).tolist()
    return [data[end - length : end].decode() for end, length in zip(ends, lengths.tolist(), strict=True)]


def run_lengths(classes: np.ndarray) -> np.ndarray:
    """*Pure.* Lengths (int32) of the runs of equal classes, runs of white space left out.

    Line ends in a row are one run: between them there is no token.
    """
    if not len(classes):
        return np.zeros(0, np.int32)
    changes = np.ones(len(classes) + 1, bool)
    np.not_equal(classes[1:], classes[:-1], out=changes[1:-1])
    inside = classes != SPACE
    starts, last = np.flatnonzero(changes[:-1] & inside), np.flatnonzero(changes[1:] & inside)
    return (last - starts + 1).astype(np.int32)


def utf8_lengths(points: np.ndarray) -> np.ndarray:
    """*Pure.* Bytes of each code point in UTF-8, 1 to 4, int8."""
    return 1 + (points >= 0x80).astype(np.int8) + (points >= 0x800) + (points >= 0x10000)


def split_ascii(block: bytes) -> tuple[bytes, bytes]:
    """*Pure.* The ASCII lines of a block that ends with a line end, and the other lines."""
    values = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(values == ord("\n")) + 1
    odd = np.unique(np.searchsorted(ends, np.flatnonzero(values >= 0x80), "right"))
    starts = np.concatenate([[0], ends[:-1]])
    others = [block[a:b] for a, b in zip(starts[odd].tolist(), ends[odd].tolist(), strict=True)]
    gaps = zip([0, *ends[odd].tolist()], [*starts[odd].tolist(), len(block)], strict=True)
    return b"".join(block[a:b] for a, b in gaps), b"".join(others)
