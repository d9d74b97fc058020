"""*Worker.* The first pass over a split: its distinct tokens with their counts, and the text as numbers of tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
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
from clip_spark.texts.ngrams.counting.tokenizer import Tokenizer, make_tokenizer
from clip_spark.texts.specs import CountSpec

COUNT_CODES = 1 << 20
GROUP_TOKENS = 1 << 23
"""Tokens that are coded at once: more than a usual split has."""


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
    groups: list[pa.ChunkedArray] = []
    rejects: list[Reject] = []
    for piece in split:
        account = Account()
        try:
            found = list(_in_groups(_tokens(piece, spec, tokenizer, account)))
        except Exception as error:
            if not corpus.is_damage(error):
                raise
            account = Account()
            account.reject(piece.uri, DAMAGED, f"{type(error).__name__}: {error}")
            found = []
        groups += found
        sums += account.counters
        rejects += account.rejects
    words, codes = _one_dictionary(groups)
    coded = Coded(words, _occurrences(codes, len(words)), codes)
    return Reading(coded, {**sums, **_sums(coded, spec.orders)}, rejects)


def _occurrences(codes: np.ndarray, words: int) -> np.ndarray:
    """*Pure.* How often each code occurs, int64 (words,); in slices, because bincount widens all that it is given."""
    counts = np.zeros(words, np.int64)
    for start in range(0, len(codes), COUNT_CODES):
        counts += np.bincount(codes[start : start + COUNT_CODES], minlength=words)
    return counts


def _tokens(piece: Piece, spec: CountSpec, tokenizer: Tokenizer, account: Account) -> Iterator[pa.Array]:
    inside_line, sums = False, account.counters
    for block in corpus.read_text(piece, spec.text_field, account, spec.encoding):
        sums["bytes"] += len(block)
        lines = int(np.count_nonzero(np.frombuffer(block, np.uint8) == LINE_END[0]))  # ten times as fast as bytes.count
        sums["lines"] += lines
        count_rows(lines)
        if not is_utf8(block):
            block = _mended(block, piece.uri, spec.invalid_utf8, account)
        yield from tokenizer(block, inside_line=inside_line)
        inside_line = not block.endswith(LINE_END)
    if inside_line:  # the last line of a file may lack its end
        sums["lines"] += 1
        yield pa.array([LINE_END], pa.binary())


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


def _in_groups(tokens: Iterable[pa.Array]) -> Iterator[pa.ChunkedArray]:
    """*Worker.* The tokens coded, GROUP_TOKENS with one dictionary: of a piece of any size four bytes a token stay."""
    group: list[pa.Array] = []
    size = 0
    for some in tokens:
        group.append(some)
        size += len(some)
        if size >= GROUP_TOKENS:
            yield pa.chunked_array(group).dictionary_encode()
            group, size = [], 0
    if group:
        yield pa.chunked_array(group).dictionary_encode()


def _one_dictionary(groups: list[pa.ChunkedArray]) -> tuple[pa.Array, np.ndarray]:
    """*Worker.* Distinct tokens of all groups, and the whole text as positions among them (int32)."""
    if not groups:
        return pa.array([], pa.binary()), np.zeros(0, np.int32)
    codes = np.empty(sum(map(len, groups)), np.int32)
    blocks = (block.indices.to_numpy() for group in groups for block in group.chunks)
    np.concatenate(list(blocks), out=codes)
    if len(groups) == 1:
        return groups[0].chunk(0).dictionary, codes
    words = pa.concat_arrays([group.chunk(0).dictionary for group in groups]).dictionary_encode()
    places = words.indices.to_numpy()
    start = first = 0
    for group in groups:
        own = codes[start : start + len(group)]
        np.take(places[first:], own.astype(np.intp), out=own, mode="clip")
        start, first = start + len(group), first + len(group.chunk(0).dictionary)
    return words.dictionary, codes


def _sums(coded: Coded, orders: tuple[int, ...]) -> dict[str, int]:
    """*Worker.* Tokens, and n-grams with repeats by order."""
    is_word = coded.is_word
    ends = np.flatnonzero(~is_word[coded.codes])
    lengths = np.diff(ends, prepend=-1) - 1
    positions = {totals.key("positions", n): int(np.maximum(lengths - n + 1, 0).sum()) for n in orders}
    return {"tokens": int(coded.counts[is_word].sum()), **positions}
