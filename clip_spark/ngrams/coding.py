"""*Worker.* The first pass over a split: its distinct tokens with their counts, and the text as numbers of tokens.

The result is kept as a work file, so that the text is tokenised once although it is needed twice, and a job that
was killed does not start from nothing. A damaged or missing work file is made again from the corpus.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from clip_spark import corpus, storage
from clip_spark.corpus import Piece, Split
from clip_spark.ngrams import totals
from clip_spark.ngrams.tokenizer import Tokenizer, Tokens, make_tokenizer
from clip_spark.shards import Stopwatch
from clip_spark.specs.text import CountSpec
from clip_spark.text import decode, is_utf8

LINE_END = b"\n"
DAMAGED_FILE = "cut short or garbled"
Reject = tuple[str, str, str]
"""Source, reason, message."""
COUNT_CODES = 1 << 20


@dataclass(frozen=True)
class Coded:
    """One split as numbers.

    Attributes:
        words: distinct tokens as UTF-8, binary (v,); those that begin with a line end separate lines.
        counts: int64 (v,), occurrences of each.
        codes: int32 (tokens,), the text as positions in `words`.
        sums: totals of the split: lines, bytes, tokens, ...
        rejects: files and lines that were left out.
        seconds: stage -> seconds that it took to make this.
    """

    words: pa.Array
    counts: np.ndarray
    codes: np.ndarray
    sums: dict[str, int]
    rejects: list[Reject]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def is_word(self) -> np.ndarray:
        """bool (v,): false for what separates lines."""
        return ~pa.compute.starts_with(self.words, LINE_END).to_numpy(zero_copy_only=False)


def code_split(split: Split, spec: CountSpec) -> Coded:
    """*Worker.* Read and tokenise a split; a file that is cut short or garbled is rejected as a whole."""
    tokenizer = make_tokenizer(spec)
    sums: Counter[str] = Counter()
    blocks: list[pa.DictionaryArray] = []
    rejects: list[Reject] = []
    for piece in split:
        of_piece: Counter[str] = Counter()
        try:
            found = [_dictionary(*tokens) for tokens in _tokens(piece, spec, tokenizer, of_piece, rejects)]
        except Exception as error:
            if not corpus.is_damage(error):
                raise
            rejects.append((piece.uri, DAMAGED_FILE, f"{type(error).__name__}: {error}"))
            continue
        blocks += found
        sums += of_piece
    words, codes = _one_dictionary(blocks)
    coded = Coded(words, _occurrences(codes, len(words)), codes, {}, rejects)
    return dataclasses.replace(coded, sums={**sums, **_sums(coded, spec.orders)})


def _occurrences(codes: np.ndarray, words: int) -> np.ndarray:
    """*Pure.* How often each code occurs, int64 (words,); in slices, because bincount widens all that it is given."""
    counts = np.zeros(words, np.int64)
    for start in range(0, len(codes), COUNT_CODES):
        counts += np.bincount(codes[start : start + COUNT_CODES], minlength=words)
    return counts


def _tokens(
    piece: Piece, spec: CountSpec, tokenizer: Tokenizer, sums: Counter[str], rejects: list[Reject]
) -> Iterator[Tokens]:
    inside_line = False
    for block in corpus.read_text(piece, spec.text_field, lambda *reject: rejects.append(reject)):
        sums["bytes"] += len(block)
        sums["lines"] += block.count(LINE_END)
        if not is_utf8(block):
            block = _mended(block, piece.uri, spec.invalid_utf8, sums, rejects)
        yield tokenizer(block, inside_line=inside_line)
        inside_line = not block.endswith(LINE_END)
    if inside_line:  # the last line of a file may lack its end
        sums["lines"] += 1
        yield LINE_END, np.ones(1, np.int32)


def _mended(block: bytes, source: str, policy: str, sums: Counter[str], rejects: list[Reject]) -> bytes:
    """*Worker.* The block as UTF-8: bad bytes replaced by U+FFFD, or the lines that hold them left out."""
    lines = block.split(LINE_END)
    for number, line in enumerate(lines):
        if is_utf8(line):
            continue
        if policy == "reject":
            rejects.append((source, "not UTF-8", repr(line[:100])))
            lines[number] = b""
        else:
            sums["lines_with_replaced_bytes"] += 1
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
        np.take(places[first:], block.indices.to_numpy(), out=codes[start:end], mode="clip")
        start, first = end, first + len(block.dictionary)
    return words.dictionary, codes


def _sums(coded: Coded, orders: tuple[int, ...]) -> dict[str, int]:
    """*Worker.* Tokens, and n-grams with repeats by order."""
    is_word = coded.is_word
    ends = np.flatnonzero(~is_word[coded.codes])
    lengths = np.diff(ends, prepend=-1) - 1
    positions = {totals.key("positions", n): int(np.maximum(lengths - n + 1, 0).sum()) for n in orders}
    return {"tokens": int(coded.counts[is_word].sum()), **positions}


def coded_split(uri: str, split: Split, spec: CountSpec) -> Coded:
    """*Worker.* A split from its work file at `uri`, or from the corpus if there is none."""
    if storage.exists(uri) and (found := _read_if_whole(uri)):
        return found
    watch = Stopwatch()
    with watch("tokenise"):
        coded = code_split(split, spec)
    coded = dataclasses.replace(coded, seconds=dict(watch.seconds))
    write_coded(uri, coded)
    return coded


def _read_if_whole(uri: str) -> Coded | None:
    try:
        return read_coded(uri)
    except Exception as error:
        if corpus.is_damage(error) or isinstance(error, (ValueError, KeyError)):
            return None
        raise


def write_coded(uri: str, coded: Coded) -> None:
    """*Worker.* Write a work file; it appears whole or not at all."""
    about = {"about": json.dumps([coded.sums, coded.rejects, coded.seconds])}
    words = pa.table({"word": coded.words, "count": coded.counts}).replace_schema_metadata(about)
    with storage.open_write(uri) as stream:
        for table in (words, pa.table({"code": coded.codes})):
            with pa.ipc.new_stream(stream, table.schema) as writer:
                writer.write_table(table)


def read_coded(uri: str) -> Coded:
    """*Worker.* The inverse of `write_coded`."""
    source = pa.BufferReader(storage.read_bytes(uri))
    words, codes = (pa.ipc.open_stream(source).read_all().combine_chunks() for _ in range(2))
    sums, rejects, seconds = json.loads(words.schema.metadata[b"about"])
    rejects = [tuple(reject) for reject in rejects]
    code = codes["code"].combine_chunks().to_numpy()
    return Coded(words["word"].combine_chunks(), words["count"].to_numpy(), code, sums, rejects, seconds)
