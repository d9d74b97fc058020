"""*Worker.* The first pass over a split: its distinct tokens with their counts, and the text as numbers of tokens.

The result is kept as a work file, so that the text is tokenised once although it is needed twice, and a job that
was killed does not start from nothing. A damaged or missing work file is made again from the corpus.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from clip_spark import corpus, storage
from clip_spark.corpus import Split
from clip_spark.ngrams import totals
from clip_spark.ngrams.tokenizer import RunTokenizer, Tokens

LINE_END = b"\n"


@dataclass(frozen=True)
class Coded:
    """One split as numbers.

    Attributes:
        words: distinct tokens as UTF-8, binary (v,); those that begin with a line end separate lines.
        counts: int64 (v,), occurrences of each.
        codes: int32 (tokens,), the text as positions in `words`.
        sums: totals of the split: lines, bytes, tokens, ...
    """

    words: pa.Array
    counts: np.ndarray
    codes: np.ndarray
    sums: dict[str, int]

    @property
    def is_word(self) -> np.ndarray:
        """bool (v,): false for what separates lines."""
        return ~pa.compute.starts_with(self.words, LINE_END).to_numpy(zero_copy_only=False)


def code_split(split: Split, tokenizer: RunTokenizer, orders: tuple[int, ...]) -> Coded:
    """*Worker.* Read and tokenise a split."""
    sums: Counter[str] = Counter()
    data, lengths = [], []
    for tokens, of_tokens in _tokens(split, tokenizer, sums):
        data.append(tokens)
        lengths.append(of_tokens)
    words, codes = _dictionary(data, lengths)
    coded = Coded(words, np.bincount(codes, minlength=len(words)), codes, {})
    return Coded(words, coded.counts, codes, {**sums, **_sums(coded, orders)})


def _tokens(split: Split, tokenizer: RunTokenizer, sums: Counter[str]) -> Iterator[Tokens]:
    inside_line = False
    for piece in split:
        for block in corpus.read_blocks(piece):
            sums["bytes"] += len(block)
            sums["lines"] += block.count(LINE_END)
            yield from tokenizer(block, inside_line=inside_line)
            inside_line = not block.endswith(LINE_END)
        if inside_line:  # the last line of a file may lack its end
            sums["lines"] += 1
            yield LINE_END, np.ones(1, np.int32)
            inside_line = False


def _dictionary(data: list[bytes], lengths: list[np.ndarray]) -> tuple[pa.Array, np.ndarray]:
    """*Worker.* Distinct tokens, and each token's position among them (int32)."""
    joined = b"".join(data)
    is_big = len(joined) >= 2**31
    offsets = np.zeros(1 + sum(map(len, lengths)), np.int64 if is_big else np.int32)
    np.cumsum(np.concatenate([*lengths, offsets[:0]]), out=offsets[1:])
    data.clear()
    lengths.clear()
    kind = pa.large_binary() if is_big else pa.binary()
    array = pa.Array.from_buffers(kind, len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(joined)])
    encoded = array.dictionary_encode()
    return encoded.dictionary.cast(pa.binary()), encoded.indices.to_numpy()


def _sums(coded: Coded, orders: tuple[int, ...]) -> dict[str, int]:
    """*Worker.* Tokens, and n-grams with repeats by order."""
    is_word = coded.is_word
    ends = np.flatnonzero(~is_word[coded.codes])
    lengths = np.diff(ends, prepend=-1) - 1
    positions = {totals.key("positions", n): int(np.maximum(lengths - n + 1, 0).sum()) for n in orders}
    return {"tokens": int(coded.counts[is_word].sum()), **positions}


def coded_split(uri: str, split: Split, tokenizer: RunTokenizer, orders: tuple[int, ...]) -> Coded:
    """*Worker.* A split from its work file at `uri`, or from the corpus if there is none."""
    if storage.exists(uri):
        return read_coded(uri)
    coded = code_split(split, tokenizer, orders)
    write_coded(uri, coded)
    return coded


def write_coded(uri: str, coded: Coded) -> None:
    """*Worker.* Write a work file; it appears whole or not at all."""
    words = pa.table({"word": coded.words, "count": coded.counts}).replace_schema_metadata(
        {"sums": json.dumps(coded.sums)}
    )
    with storage.open_write(uri) as stream:
        for table in (words, pa.table({"code": coded.codes})):
            with pa.ipc.new_stream(stream, table.schema) as writer:
                writer.write_table(table)


def read_coded(uri: str) -> Coded:
    """*Worker.* The inverse of `write_coded`."""
    source = pa.BufferReader(storage.read_bytes(uri))
    words, codes = (pa.ipc.open_stream(source).read_all().combine_chunks() for _ in range(2))
    sums = json.loads(words.schema.metadata[b"sums"])
    code = codes["code"].combine_chunks().to_numpy()
    return Coded(words["word"].combine_chunks(), words["count"].to_numpy(), code, sums)
