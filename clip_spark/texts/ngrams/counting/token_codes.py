"""*Worker.* Tokens as numbers, in the order in which they first appear.

Nearly all tokens are short and were seen before. A token of up to eight bytes is one integer; a small table, which
stays in a core's cache, has in each of its slots one such word with its number. What is not found there is
gathered, and numbered by Arrow's hash table of texts, which takes several times as long for each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from clip_spark.texts.ngrams.counting.tokenizer import BEHIND, Tokens
from clip_spark.texts.ngrams.counting.word_lookup import SPREAD

SLOT_BITS = 16
SHORT = 8
"""Bytes of a token that are one integer."""
UNUSED = np.array([(1 << 64) - (1 << 8 * size) for size in range(SHORT + 1)], np.uint64)
"""0xFF in the bytes behind a token of `size` bytes: no byte of UTF-8."""
FOLD_TOKENS, FOLD_BYTES = 1 << 16, 1 << 24
"""Tokens that are gathered, or their bytes, before they are numbered."""


class _Open(NamedTuple):
    """A block some of whose tokens have no number yet: `codes[rows]` are those of `words`, binary (rows,)."""

    codes: np.ndarray
    rows: np.ndarray
    words: pa.Array


class TokenCodes:
    """*Worker.* Numbers the tokens of block after block."""

    def __init__(self) -> None:
        self._words = pa.array([], pa.binary())
        self._blocks: list[np.ndarray] = []
        self._open: list[_Open] = []
        self._gathered = self._gathered_bytes = 0
        self._recent = _Recent()

    def __len__(self) -> int:
        """Blocks so far."""
        return len(self._blocks)

    def add(self, tokens: Tokens) -> None:
        """The tokens of one more block."""
        codes, missing = self._recent.find(tokens)
        self._blocks.append(codes)
        if len(missing):
            words = _cut(tokens, missing)
            self._open.append(_Open(codes, missing, words))
            self._gathered += len(words)
            self._gathered_bytes += words.nbytes
        if self._gathered >= max(FOLD_TOKENS, len(self._words)) or self._gathered_bytes >= FOLD_BYTES:
            self._fold()

    def forget(self, blocks: int) -> None:
        """All but the first blocks; a word that was in no other stays, counted 0 times."""
        del self._blocks[blocks:]

    def finish(self) -> tuple[pa.Array, np.ndarray]:
        """Distinct tokens, binary (v,), and the text as positions among them, int32 (tokens,)."""
        self._fold()
        return self._words, np.concatenate([np.zeros(0, np.int32), *self._blocks])

    def _fold(self) -> None:
        """Number what was gathered; words keep the numbers that they have, since the first is numbered first."""
        if not self._open:
            return
        gathered = pa.chunked_array([self._words, *(some.words for some in self._open)]).dictionary_encode()
        chunks = gathered.chunks[-len(self._open) :]  # Arrow leaves an empty one out
        for some, chunk in zip(self._open, chunks, strict=True):
            some.codes[some.rows] = chunk.indices.to_numpy()
        known, self._words = len(self._words), chunks[0].dictionary
        self._open, self._gathered, self._gathered_bytes = [], 0, 0
        self._recent.fill(self._words, known)


class _Recent:
    """*Worker.* A table that finds most tokens: in each slot a short word, as an integer, and its number."""

    def __init__(self) -> None:
        self._keys = np.full(1 << SLOT_BITS, UNUSED[0])
        self._codes = np.zeros(1 << SLOT_BITS, np.int32)

    def fill(self, words: pa.Array, first: int) -> None:
        """Put in words from the number `first` on; a slot is the word's that comes first, as frequent words do."""
        offsets = np.frombuffer(words.buffers()[1], np.int32, len(words) + 1 - first, (words.offset + first) * 4)
        lengths = np.diff(offsets)
        rows = np.flatnonzero(lengths <= SHORT)[::-1]  # of what is put into one slot the last stays
        keys = _keys(bytes(words.buffers()[2] or b"") + BEHIND, offsets[rows].astype(np.int64), lengths[rows])
        slots = _slots(keys)
        free = np.flatnonzero(self._keys[slots] == UNUSED[0])
        self._keys[slots[free]], self._codes[slots[free]] = keys[free], first + rows[free]

    def find(self, tokens: Tokens) -> tuple[np.ndarray, np.ndarray]:
        """The number of each token, int32 (tokens,), and those that have none here, int64 (missing,)."""
        lengths = tokens.ends - tokens.starts
        keys = _keys(tokens.data, tokens.starts, lengths)
        slots = _slots(keys)
        missing = self._keys.take(slots, mode="clip") != keys
        missing |= lengths > SHORT
        return self._codes.take(slots, mode="clip"), np.flatnonzero(missing)


def _slots(keys: np.ndarray) -> np.ndarray:
    return (keys * SPREAD >> np.uint64(64 - SLOT_BITS)).view(np.int64)


def _keys(data: bytes, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """*Pure.* Eight bytes from each start, UNUSED behind a token's end; uint64 (tokens,)."""
    words = np.frombuffer(data, "<u8", len(data) // SHORT)
    word, inside = starts >> 3, (starts & 7).astype(np.uint64) << np.uint64(3)
    keys = words.take(word, mode="clip") >> inside
    keys |= words.take(word + 1, mode="clip") << (np.uint64(64) - inside)  # by 64 bits nothing is left
    keys |= UNUSED.take(lengths, mode="clip")
    return keys


def _cut(tokens: Tokens, rows: np.ndarray) -> pa.Array:
    """*Worker.* Some of the tokens, binary (rows,), without the text between them."""
    offsets = np.empty(2 * len(rows), np.int32)
    offsets[::2], offsets[1::2] = tokens.starts[rows], tokens.ends[rows]
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(tokens.data)]
    with_gaps = pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)
    return with_gaps.take(pa.array(np.arange(0, len(offsets), 2)))
