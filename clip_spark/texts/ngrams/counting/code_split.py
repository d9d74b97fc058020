"""*Worker.* The first pass over a split: its distinct tokens with their counts, and the text as numbers of tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from clip_spark.runtime.row_counts import count_rows
from clip_spark.texts import corpus
from clip_spark.texts.corpus import Account, Piece, Split
from clip_spark.texts.corpus.account import DAMAGED, Reject
from clip_spark.texts.lines import decode, is_utf8
from clip_spark.texts.ngrams.counting import totals
from clip_spark.texts.ngrams.counting.coded_split import LINE_END, Coded
from clip_spark.texts.ngrams.counting.tokenizer import Tokenizer, Tokens, make_tokenizer
from clip_spark.texts.specs import CountSpec

COUNT_CODES = 1 << 20


class Reading(NamedTuple):
    """What reading a split from the corpus gives.

    Attributes:
        coded: the text as numbers.
        sums: totals of the split: lines, bytes, tokens, ...
        rejects: files and lines that were left out.
    """

    coded: Coded
    sums: dict[str, int]
    rejects: list[Reject]


def code_split(split: Split, spec: CountSpec) -> Reading:
    """*Worker.* Read and tokenise a split; a file that is cut short or garbled is rejected as a whole."""
    tokenizer = make_tokenizer(spec)
    sums: Counter[str] = Counter()
    blocks: list[pa.DictionaryArray] = []
    rejects: list[Reject] = []
    for piece in split:
        account = Account()
        try:
            found = [_dictionary(*tokens) for tokens in _tokens(piece, spec, tokenizer, account)]
        except Exception as error:
            if not corpus.is_damage(error):
                raise
            account = Account()
            account.reject(piece.uri, DAMAGED, f"{type(error).__name__}: {error}")
            found = []
        blocks += found
        sums += account.counters
        rejects += account.rejects
    words, codes = _one_dictionary(blocks)
    coded = Coded(words, _occurrences(codes, len(words)), codes)
    return Reading(coded, {**sums, **_sums(coded, spec.orders)}, rejects)


def _occurrences(codes: np.ndarray, words: int) -> np.ndarray:
    """*Pure.* How often each code occurs, int64 (words,); in slices, because bincount widens all that it is given."""
    counts = np.zeros(words, np.int64)
    for start in range(0, len(codes), COUNT_CODES):
        counts += np.bincount(codes[start : start + COUNT_CODES], minlength=words)
    return counts


def _tokens(piece: Piece, spec: CountSpec, tokenizer: Tokenizer, account: Account) -> Iterator[Tokens]:
    inside_line, sums = False, account.counters
    for block in corpus.read_text(piece, spec.text_field, account, spec.encoding):
        sums["bytes"] += len(block)
        sums["lines"] += (lines := block.count(LINE_END))
        count_rows(lines)
        if not is_utf8(block):
            block = _mended(block, piece.uri, spec.invalid_utf8, account)
        yield tokenizer(block, inside_line=inside_line)
        inside_line = not block.endswith(LINE_END)
    if inside_line:  # the last line of a file may lack its end
        sums["lines"] += 1
        yield LINE_END, np.ones(1, np.int32)


def _mended(block: bytes, source: str, policy: str, account: Account) -> bytes:
    """*Worker.* The block as UTF-8: bad bytes replaced by U+FFFD, or the lines that hold them left out."""
    lines = block.split(LINE_END)
    for number, line in enumerate(lines):
        if is_utf8(line):
            continue
        if policy == "reject":
            account.reject(source, "not UTF-8", repr(line[:100]))
            lines[number] = b""
        else:
            account.counters["lines_with_replaced_bytes"] += 1
            lines[number] = decode(line).encode()
    return LINE_END.join(lines)


def _dictionary(data: bytes, lengths: np.ndarray) -> pa.DictionaryArray:
    """*Worker.* The tokens of one block, coded: few enough distinct ones that their hash table stays in the cache."""
    offsets = np.zeros(1 + len(lengths), np.int32)
    np.cumsum(lengths, out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(lengths), buffers).dictionary_encode()


def _one_dictionary(blocks: list[pa.DictionaryArray]) -> tuple[pa.Array, np.ndarray]:
    """*Worker.* Distinct tokens of all blocks, and the whole text as positions among them (int32)."""
    if not blocks:
        return pa.array([], pa.binary()), np.zeros(0, np.int32)
    words = pa.concat_arrays([block.dictionary for block in blocks]).dictionary_encode()
    places = words.indices.to_numpy()
    codes = np.empty(sum(map(len, blocks)), np.int32)
    start = first = 0
    for block in blocks:
        end = start + len(block)
        indices = block.indices.to_numpy().astype(np.intp)  # `take` would do the same, slower
        np.take(places[first:], indices, out=codes[start:end], mode="clip")
        start, first = end, first + len(block.dictionary)
    return words.dictionary, codes


def _sums(coded: Coded, orders: tuple[int, ...]) -> dict[str, int]:
    """*Worker.* Tokens, and n-grams with repeats by order."""
    is_word = coded.is_word
    ends = np.flatnonzero(~is_word[coded.codes])
    lengths = np.diff(ends, prepend=-1) - 1
    positions = {totals.key("positions", n): int(np.maximum(lengths - n + 1, 0).sum()) for n in orders}
    return {"tokens": int(coded.counts[is_word].sum()), **positions}
