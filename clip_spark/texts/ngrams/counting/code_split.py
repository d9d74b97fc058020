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
from clip_spark.texts.ngrams.counting.token_codes import TokenCodes
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
    tokenizer, codes = make_tokenizer(spec), TokenCodes()
    sums: Counter[str] = Counter()
    rejects: list[Reject] = []
    for piece in split:
        account, before = Account(), len(codes)
        try:
            for tokens in _tokens(piece, spec, tokenizer, account):
                codes.add(tokens)
        except Exception as error:
            if not corpus.is_damage(error):
                raise
            codes.forget(before)
            account = Account()
            account.reject(piece.uri, DAMAGED, f"{type(error).__name__}: {error}")
        sums += account.counters
        rejects += account.rejects
    coded = _counted(*codes.finish())
    return Reading(coded, {**sums, **_sums(coded, spec.orders)}, rejects)


def _counted(words: pa.Array, codes: np.ndarray) -> Coded:
    """*Worker.* The split without words that only rejected files have."""
    counts = _occurrences(codes, len(words))
    if counts.all():
        return Coded(words, counts, codes)
    kept = counts > 0
    number = np.cumsum(kept, dtype=np.int32) - 1
    return Coded(words.filter(pa.array(kept)), counts[kept], number[codes])


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
        lines = int(np.count_nonzero(np.frombuffer(block, np.uint8) == LINE_END[0]))  # ten times as fast as bytes.count
        sums["lines"] += lines
        count_rows(lines)
        if not is_utf8(block):
            block = _mended(block, piece.uri, spec.invalid_utf8, account)
        yield tokenizer(block)
        inside_line = not block.endswith(LINE_END)
    if inside_line:  # the last line of a file may lack its end
        sums["lines"] += 1
        yield tokenizer(LINE_END)


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


def _sums(coded: Coded, orders: tuple[int, ...]) -> dict[str, int]:
    """*Worker.* Tokens, and n-grams with repeats by order."""
    is_word = coded.is_word
    ends = np.flatnonzero(~is_word.take(coded.codes, mode="clip"))
    lengths = np.diff(ends, prepend=-1) - 1
    positions = {totals.key("positions", n): int(np.maximum(lengths - n + 1, 0).sum()) for n in orders}
    return {"tokens": int(coded.counts[is_word].sum()), **positions}
