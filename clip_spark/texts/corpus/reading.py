"""*Worker.* The bytes of a corpus in blocks of whole lines.

A line ends with `\\n`; a lone `\\r` is white space inside a line. Big uncompressed files are split by byte ranges: the
range that holds the first byte of a line reads all of it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import IO, Any, cast

from clip_spark import storage
from clip_spark.texts.corpus.listing import Piece
from clip_spark.texts.lines import BYTE_ORDER_MARK

BLOCK_BYTES = 256 << 10
"""Bytes that are read and worked on at once: they and what is made of them stay in a core's cache."""
LONG_LINE_BYTES = 4 << 20


def read_blocks(
    piece: Piece, block_bytes: int = BLOCK_BYTES, long_line_bytes: int = LONG_LINE_BYTES
) -> Iterator[bytes]:
    """*Worker.* The lines of plain UTF-8 text that begin in a piece, in blocks; see `blocks_of`."""
    with storage.open_read(piece.uri) as file:
        # An object store's file has no bounded readline, and copies its read-ahead for each line.
        stream: Any = file if storage.is_local(piece.uri) else io.BufferedReader(cast(io.RawIOBase, file), BLOCK_BYTES)
        yield from blocks_of(_read_parts(stream, piece, block_bytes), long_line_bytes)


def stream_blocks(
    stream: Any, block_bytes: int = BLOCK_BYTES, long_line_bytes: int = LONG_LINE_BYTES
) -> Iterator[bytes]:
    """*Worker.* All that is left of a stream, in blocks; see `blocks_of`."""
    return blocks_of(iter(lambda: stream.read(block_bytes), b""), long_line_bytes)


def blocks_of(parts: Iterable[bytes], long_line_bytes: int) -> Iterator[bytes]:
    """*Worker.* Bytes in blocks that end at line ends, so that memory does not grow with the file.

    The last line may lack its `\\n`; a line longer than `long_line_bytes` comes in parts that end at a space.
    """
    held: list[bytes] = []
    for data in parts:
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


def lines_of(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """*Worker.* The lines of blocks, without their ends."""
    held: list[bytes] = []
    for block in blocks:
        *lines, rest = block.split(b"\n")
        if lines:
            lines[0] = b"".join([*held, lines[0]])
            held = []
            yield from lines
        if rest:
            held.append(rest)
    if held:
        yield b"".join(held)
