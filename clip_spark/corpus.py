"""*Driver and worker.* A corpus: which files it is made of, who reads what, and the bytes in blocks of whole lines.

A line ends with `\\n`; a lone `\\r` is white space inside a line. Big uncompressed files are split by byte
ranges: the range that holds the first byte of a line reads all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from clip_spark import storage
from clip_spark.errors import InputError
from clip_spark.specs.base import fingerprint
from clip_spark.text import BYTE_ORDER_MARK

COMPRESSIONS = {".gz": "gzip"}
TEXT_ENDINGS = (".txt", ".text", ".md")
BLOCK_BYTES = 256 << 10
"""Bytes that are read and worked on at once: they and what is made of them stay in a core's cache."""
LONG_LINE_BYTES = 4 << 20
SPLIT_BYTES = 32 << 20
"""Bytes of text that one task reads: few enough to bound its memory, many enough for repeats to be combined."""
COMPRESSED_WEIGHT = 4
"""A byte of a compressed file stands for about so many bytes of text."""


@dataclass(frozen=True)
class CorpusFile:
    """One file of a corpus: where, how many bytes on disk, a stamp that changes when it is rewritten."""

    uri: str
    relative: str
    bytes: int
    stamp: str

    @property
    def compression(self) -> str | None:
        """fsspec's name of the compression that the ending tells, or None."""
        return next((name for ending, name in COMPRESSIONS.items() if self.uri.lower().endswith(ending)), None)

    @property
    def weight(self) -> int:
        """About how many bytes of text it holds."""
        return self.bytes * (COMPRESSED_WEIGHT if self.compression else 1)


@dataclass(frozen=True)
class Piece:
    """A file, or the lines of it that begin in the bytes [start, end); `end` is None for the whole file."""

    uri: str
    compression: str | None
    start: int = 0
    end: int | None = None


Split = tuple[Piece, ...]
"""What one task reads."""


def list_corpus(
    uris: Sequence[str], option: str = "corpus", endings: tuple[str, ...] = TEXT_ENDINGS
) -> list[CorpusFile]:
    """*Driver.* The files of a corpus, in the order of the URIs and by path below each; each file once.

    Args:
        uris: files, folders and globs.
        option: name of the command line option, for messages.
        endings: what a file in a folder must end with to count; a file that is named itself always does.

    Raises:
        InputError: a place is missing, or nothing in it is text that we read.
    """
    found: dict[str, CorpusFile] = {}
    for uri in uris:
        for file in _list_place(storage.absolute(uri), option, endings):
            found.setdefault(file.uri, file)
    if not any(file.bytes for file in found.values()):
        raise InputError(f"--{option} {','.join(uris)}: all {len(found)} files are empty; there is nothing to read.")
    return list(found.values())


def _list_place(uri: str, option: str, endings: tuple[str, ...]) -> list[CorpusFile]:
    listed = storage.list_files(uri)
    if not listed:
        what = "is an empty folder" if storage.exists(uri) else "does not exist"
        raise InputError(f"--{option} '{uri}' {what}; give a text file, a folder or a glob.")
    is_place = len(listed) > 1 or listed[0].uri.rstrip("/") != uri
    files = [file for file in listed if not is_place or plain_name(file.uri).endswith(endings)]
    if not files:
        raise InputError(f"--{option} '{uri}' holds {len(listed)} files, none of them {' '.join(endings)} (or .gz).")
    return [CorpusFile(f.uri, _relative(f.uri, uri), f.bytes, f.stamp) for f in files]


def _relative(uri: str, root: str) -> str:
    return uri[len(root) :].lstrip("/") if uri.startswith(root) and uri != root else storage.name(uri)


def plain_name(uri: str) -> str:
    """*Pure.* The last part of a URI in lower case, without the ending of a compression."""
    lowered = storage.name(uri).lower()
    for ending in COMPRESSIONS:
        lowered = lowered.removesuffix(ending)
    return lowered


def as_input(files: Sequence[CorpusFile], uris: Sequence[str]) -> dict[str, str]:
    """*Driver.* How a plan names a corpus: changed when a file is added, removed or rewritten, not when it is moved."""
    stamps = [[file.relative, file.bytes, file.stamp] for file in files]
    return {"uri": ",".join(uris), "fingerprint": fingerprint(stamps)}


def plan_splits(files: Sequence[CorpusFile], split_bytes: int = SPLIT_BYTES) -> list[Split]:
    """*Driver.* Deal the files out to tasks of about `split_bytes` of text each, in order.

    Small files share a task, big plain files are cut into equal byte ranges, a compressed file is one piece.
    """
    splits: list[list[Piece]] = [[]]
    room = split_bytes
    for file in files:
        for piece, weight in _pieces(file, split_bytes):
            if splits[-1] and weight > room:
                splits.append([])
                room = split_bytes
            splits[-1].append(piece)
            room -= weight
    return [tuple(split) for split in splits if split]


def _pieces(file: CorpusFile, split_bytes: int) -> list[tuple[Piece, int]]:
    if file.compression or file.bytes <= split_bytes:
        return [(Piece(file.uri, file.compression), file.weight)] if file.bytes else []
    parts = -(-file.bytes // split_bytes)
    cuts = [file.bytes * i // parts for i in range(parts + 1)]
    return [(Piece(file.uri, None, a, b), b - a) for a, b in zip(cuts, cuts[1:], strict=False)]


def read_blocks(
    piece: Piece, block_bytes: int = BLOCK_BYTES, long_line_bytes: int = LONG_LINE_BYTES
) -> Iterator[bytes]:
    """*Worker.* The bytes of a piece in blocks that end at line ends, so that memory does not grow with the file.

    The last line of a file may lack its `\\n`; a line longer than `long_line_bytes` comes in parts that end at a space.
    """
    with storage.open_read(piece.uri, piece.compression) as stream:
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
