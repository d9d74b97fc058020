"""*Anywhere.* What is taken over: files of vectors, each with what lies beside its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from clip_spark import storage
from clip_spark.errors import InputError

READ_BYTES = 8 << 20


@dataclass(frozen=True)
class Source:
    """Some rows of one file of vectors; picklable.

    Attributes:
        uri: a .npy file, a parquet file that has everything, or a Faiss index.
        bytes: of the file.
        rows: of the whole file.
        stamp: of the content of all files that it is read from.
        parquet: whether `uri` is one.
        beside: parquet with a row for each vector; empty if there is none.
        ids: .npy with an id for each vector; empty if there is none.
        ids_bytes: of that file.
        lines: a file of texts, one a line, of which a run of lines belongs to these vectors; empty if there is none.
        first: of the lines, or of the vectors of a Faiss index: number of the one that belongs to the first row.
        start, stop: the rows that are meant.
        line_at: byte of the line of row `start`.
        again: whether the generation before had these rows, in a shard that has lost others.
    """

    uri: str
    bytes: int
    rows: int
    stamp: str
    parquet: bool = False
    beside: str = ""
    ids: str = ""
    ids_bytes: int = 0
    lines: str = ""
    first: int = 0
    start: int = 0
    stop: int = 0
    line_at: int = 0
    again: bool = False

    @property
    def name(self) -> str:
        """*Pure.* By which it is known the next time; other rows of the file have other names."""
        return f"{self.beside or self.uri}#rows={self.start}-{self.stop}"

    def row_name(self, row: int) -> str:
        """*Pure.* Where a row comes from; pictures and captions of one line of metadata have one name."""
        return f"{self.beside or self.uri}#row={row}"


@dataclass(frozen=True)
class ImportShard:
    """One item of the plan."""

    number: int
    parts: tuple[Source, ...]


def cut(files: Sequence[Source], most: int) -> list[Source]:
    """*Pure.* The files in parts of at most so many rows; how a file is cut depends on nothing but the file."""
    parts = []
    for file in files:
        count = -(-file.rows // most)
        bounds = [file.rows * n // count for n in range(count + 1)] if count else []
        parts += [replace(file, start=start, stop=stop) for start, stop in pairwise(bounds)]
    return parts


def pack(parts: Sequence[Source], most: int, first: int = 0) -> list[ImportShard]:
    """*Pure.* Parts in their order as shards of at most `most` rows, numbered from `first`."""
    groups: list[list[Source]] = []
    rows = most
    for part in parts:
        size = part.stop - part.start
        if rows + size > most:
            groups.append([])
            rows = 0
        groups[-1].append(part)
        rows += size
    return [ImportShard(number, tuple(group)) for number, group in enumerate(groups, first)]


def find_lines(parts: Sequence[Source]) -> list[Source]:
    """*Driver.* The parts with the bytes at which their lines begin; each file of lines is read once.

    Raises:
        InputError: it has more or fewer lines than there are vectors.
    """
    files = {part.lines for part in parts if part.lines}
    for uri in files:
        _check_bytes(uri)
    places = {uri: line_starts(uri, [p.first + p.start for p in parts if p.lines == uri]) for uri in files}
    for uri, (_, lines) in places.items():
        vectors = sum(part.stop - part.start for part in parts if part.lines == uri)
        if lines != vectors:
            raise InputError(
                f"'{uri}' has {lines:,} lines and beside it are {vectors:,} vectors; each vector needs its own line."
            )
    found = {uri: iter(starts) for uri, (starts, _) in places.items()}
    return [replace(part, line_at=next(found[part.lines])) if part.lines else part for part in parts]


def _check_bytes(uri: str) -> None:
    """*Driver.* Raise InputError for a file of UTF-16, whose lines cannot be found by their bytes."""
    if next(_read(uri), b"")[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"'{uri}' is UTF-16; write it again in UTF-8.")


def line_starts(uri: str, wanted: Sequence[int]) -> tuple[list[int], int]:
    """*Driver.* Bytes at which some lines (rising numbers from 0) begin, and how many lines there are."""
    starts, lines, at, last = [0 for number in wanted if number == 0], 0, 0, b"\n"
    for data in _read(uri):
        ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
        here = [number - lines - 1 for number in wanted[len(starts) :] if number - lines - 1 < len(ends)]
        starts += [at + int(ends[number]) + 1 for number in here]
        lines, at, last = lines + len(ends), at + len(data), data[-1:]
    lines += last != b"\n"
    return [*starts, *[at] * (len(wanted) - len(starts))], lines


def _read(uri: str) -> Iterator[bytes]:
    with storage.open_read(uri) as stream:
        while data := stream.read(READ_BYTES):
            yield data
