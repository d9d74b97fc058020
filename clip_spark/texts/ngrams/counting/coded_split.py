"""*Worker.* A split as numbers, and the work file that keeps it between the two passes.

The text is tokenised once although it is needed twice, and a run that was killed does not start from nothing. A work
file ends with a checksum, because a wrong number in it would be a wrong count: one that is cut short or
garbled is not parsed at all.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from clip_spark import storage

LINE_END = b"\n"
CHECKSUM_BYTES = 4


@dataclass(frozen=True)
class Coded:
    """One split as numbers.

    Attributes:
        words: distinct tokens as UTF-8, binary (v,); those that begin with a line end separate lines.
        counts: int64 (v,), occurrences of each.
        codes: int32 (tokens,), the text as positions in `words`.
    """

    words: pa.Array
    counts: np.ndarray
    codes: np.ndarray

    @property
    def is_word(self) -> np.ndarray:
        """bool (v,): false for what separates lines."""
        return ~pc.starts_with(self.words, LINE_END).to_numpy(zero_copy_only=False)


class _Summed:
    """*Worker.* A stream to write to that knows the CRC-32 of what was written."""

    closed = False

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.checksum = 0

    def write(self, data: bytes) -> int:
        """Pass on."""
        self.checksum = zlib.crc32(data, self.checksum)
        return self._stream.write(data)

    def flush(self) -> None:
        """Arrow asks for it."""


def write_coded(uri: str, coded: Coded) -> None:
    """*Worker.* Write a work file; it appears whole or not at all."""
    words = pa.table({"word": coded.words, "count": coded.counts})
    with storage.open_write(uri) as stream:
        summed = _Summed(stream)
        for table in (words, pa.table({"code": coded.codes})):
            with pa.ipc.new_stream(summed, table.schema) as writer:
                writer.write_table(table)
        stream.write(summed.checksum.to_bytes(CHECKSUM_BYTES, "big"))


def read_coded(uri: str) -> Coded | None:
    """*Worker.* The inverse of `write_coded`; None if there is no such file or its bytes are not those written."""
    try:
        data = memoryview(storage.read_bytes(uri))
    except FileNotFoundError:
        return None
    body, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if not body or zlib.crc32(body) != int.from_bytes(checksum, "big"):
        return None
    source = pa.BufferReader(body)
    words, codes = (pa.ipc.open_stream(source).read_all().combine_chunks() for _ in range(2))
    code = codes["code"].combine_chunks().to_numpy()
    return Coded(words["word"].combine_chunks(), words["count"].to_numpy(), code)
