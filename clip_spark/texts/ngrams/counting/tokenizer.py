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
import pyarrow as pa

from clip_spark.texts.specs import CountSpec

SPACE, WORD, OTHER, LINE_END = 0, 1, 2, 3
CODE_POINTS = 0x110000
LAST_LETTER = 0x40000
"""No letter, digit or white space lies above (held by a test); looking at fewer starts a worker sooner."""
Tokens = list[pa.Array]
"""All tokens as UTF-8, binary (tokens,) in a few pieces; a token `\\n` (or several of it) stands between lines."""
BEGINS = 0x80
"""The bit that marks the first byte of a token, which ASCII leaves free."""
FEW = 1 / 16
"""Of a block's bytes; where more are not ASCII, its lines are not told apart."""
HIGH_BITS = np.uint64(0x8080808080808080)


@lru_cache(maxsize=2)
def class_table(other: int = OTHER) -> np.ndarray:
    """*Pure.* Class of every code point, uint8 (0x110000,); `other` = WORD makes tokens end at white space only."""
    classes = np.full(CODE_POINTS, other, np.uint8)
    letters = "".join(map(chr, range(LAST_LETTER)))
    for of_class, pattern in ((WORD, r"\w+"), (SPACE, r"\s+")):
        for run in re.finditer(pattern, letters):
            classes[run.start() : run.end()] = of_class
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
            return [self._of_ascii(block)]
        if inside_line or not block.endswith(b"\n"):
            return [self._of_text(block.decode())]
        plain, other = split_ascii(block)
        return [self._of_ascii(plain), self._of_text(other.decode())]

    def _of_ascii(self, block: bytes) -> pa.Array:
        block = block.lower() if self._lower else block
        begins = begins_of(np.frombuffer(block.translate(self._ascii), np.uint8))
        marked = np.frombuffer(block, np.uint8) | begins * np.uint8(BEGINS)
        kept = np.frombuffer(marked.tobytes().translate(None, self._spaces), np.uint8)
        return _as_array(kept & ~np.uint8(BEGINS), np.flatnonzero(kept >= BEGINS))

    def _of_text(self, text: str) -> pa.Array:
        text = unicodedata.normalize("NFKC", text) if self._nfkc else text
        text = text.lower() if self._lower else text
        points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        classes = self._table[points]
        kept = classes != SPACE
        begins, points = begins_of(classes)[kept], points[kept]
        lengths = utf8_lengths(points)
        starts = (np.cumsum(lengths) - lengths)[begins]
        return _as_array(points.tobytes().decode("utf-32-le").encode(), starts)


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
        return [pa.array(tokens, pa.string()).cast(pa.binary())]

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
    return [token.decode() for tokens in tokenizer(line.encode()) for token in tokens.to_pylist()]


def begins_of(classes: np.ndarray) -> np.ndarray:
    """*Pure.* Where the runs of equal classes begin, runs of white space left out: bool (n,).

    Line ends in a row are one run: between them there is no token.
    """
    begins = classes != SPACE
    begins[1:] &= classes[1:] != classes[:-1]
    return begins


def _as_array(data: bytes | np.ndarray, starts: np.ndarray) -> pa.Array:
    """*Pure.* The tokens of bytes without gaps."""
    offsets = np.append(starts, len(data)).astype(np.int32)
    return pa.Array.from_buffers(pa.binary(), len(starts), [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def utf8_lengths(points: np.ndarray) -> np.ndarray:
    """*Pure.* Bytes of each code point in UTF-8, 1 to 4, int8."""
    return 1 + (points >= 0x80).astype(np.int8) + (points >= 0x800) + (points >= 0x10000)


def split_ascii(block: bytes) -> tuple[bytes, bytes]:
    """*Pure.* The ASCII lines of a block that ends with a line end, and the other lines with some of their neighbours.

    Eight bytes are looked at at once; where too many of them are not ASCII, all lines are other lines.
    """
    whole = len(block) // 8
    odd = np.flatnonzero(np.frombuffer(block, np.uint64, whole) & HIGH_BITS) * 8
    if len(odd) > FEW * whole:
        return b"", block
    plain, others, end = [], [], 0
    for place in [*odd.tolist(), *([] if block[whole * 8 :].isascii() else [whole * 8])]:
        if place + 8 <= end:
            continue
        start = max(end, block.rfind(b"\n", end, place) + 1)
        plain.append(block[end:start])
        end = block.find(b"\n", min(place + 7, len(block) - 1)) + 1
        others.append(block[start:end])
    return b"".join([*plain, block[end:]]), b"".join(others)
