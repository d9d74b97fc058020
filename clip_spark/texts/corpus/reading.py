"""*Worker.* The bytes of a corpus in blocks of whole lines.

A line ends with `\\n`; a lone `\\r` is white space inside a line. Big uncompressed files are split by byte ranges: the
range that holds the first byte of a line reads all of it.
"""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa

from clip_spark import storage
from clip_spark.texts.corpus.listing import Piece
from clip_spark.texts.tokens import BYTE_ORDER_MARK

BLOCK_BYTES = 256 << 10
"""Bytes that are read and worked on at once: they and what is made of them stay in a core's cache."""
LONG_LINE_BYTES = 4 << 20
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, tarfile.ReadError, pa.ArrowInvalid)
"""What the readers of compressed files, tars and tables raise when the bytes are not what they should be."""


def is_damage(error: BaseException) -> bool:
    """*Pure.* True if a file is cut short or garbled; False for what may go away, such as a lost connection."""
    if isinstance(error, DAMAGED):
        return True
    return type(error) is OSError and error.errno is None  # how bz2 and pyarrow tell of bad data


@contextmanager
def open_piece(piece: Piece) -> Iterator[Any]:
    """*Worker.* The file of a piece, unpacked; only plain files can seek."""
    if piece.compression != "zstd":
        with storage.open_read(piece.uri, piece.compression) as stream:
            # An object store's file has no bounded readline, and copies its read-ahead for each line.
            yield stream if storage.is_local(piece.uri) or piece.compression else io.BufferedReader(stream, BLOCK_BYTES)
        return
    with storage.open_read(piece.uri) as stream:  # pyarrow brings zstd along, the standard library does not yet
        yield pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")


def read_blocks(
    piece: Piece, block_bytes: int = BLOCK_BYTES, long_line_bytes: int = LONG_LINE_BYTES
) -> Iterator[bytes]:
    """*Worker.* The bytes of a piece in blocks that end at line ends, so that memory does not grow with the file.

    The last line of a file may lack its `\\n`; a line longer than `long_line_bytes` comes in parts that end at a space.
    """
    with open_piece(piece) as stream:
        held: list[bytes] = []
        for data in _read_parts(stream, piece, block_bytes):
            cut = data.rfind(b"\n") + 1
            if not cut and sum(map(len, held)) + len(data) > long_line_bytes:
                cut = data.rfind(b" ") + 1
            if cut:
                yield b"".join([*held, data[:cut]])
                held = []
            if cut < len(data):
                held.append(data[cut:])
        if held:
            yield b"".join(held)


def _read_parts(stream: IO[bytes], piece: Piece, part_bytes: int) -> Iterator[bytes]:
    """*Worker.* The bytes of the lines that begin in a piece, in parts of at most `part_bytes`."""
    if piece.end is None:
        if head := _without_mark(stream):
            yield head
        yield from iter(lambda: stream.read(part_bytes), b"")
        return
    data = _seek_first_line(stream, piece)
    while data or stream.tell() < piece.end:
        data += stream.read(max(0, min(part_bytes, piece.end - stream.tell())))
        if not data:  # the file has become shorter since it was listed
            return
        yield data
        last, data = data[-1:], b""
        if stream.tell() >= piece.end and last != b"\n":  # a line that crosses the end belongs to this piece
            data = stream.readline(part_bytes)


def _seek_first_line(stream: IO[bytes], piece: Piece) -> bytes:
    """*Worker.* Go to the first line that begins in a byte range; returns what was read of it."""
    if piece.start == 0:
        return _without_mark(stream) if (piece.end or 0) >= len(BYTE_ORDER_MARK) else b""
    stream.seek(piece.start - 1)
    while chunk := stream.readline(BLOCK_BYTES):  # a line may be longer than memory
        if chunk.endswith(b"\n"):
            break
    return b""


def _without_mark(stream: IO[bytes]) -> bytes:
    head = stream.read(len(BYTE_ORDER_MARK))
    return b"" if head == BYTE_ORDER_MARK else head


def read_lines(piece: Piece) -> Iterator[bytes]:
    """*Worker.* The lines of a piece without their ends."""
    held = b""
    for block in read_blocks(piece):
        *lines, rest = block.split(b"\n")
        if lines:
            lines[0] = held + lines[0]
        held = rest if lines else held + rest
        yield from lines
    if held:
        yield held
