"""*Worker.* Records in Arrow files of which pieces are here: their ends, then where a batch has its columns, then rows.

An Arrow file ends with a list of its batches, a batch begins with a description of its columns, and a column is a few
buffers: so the addresses that Arrow finds in a mapped file say which bytes of it a row needs.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from clip_spark.errors import DatasetError
from clip_spark.index.files.pieces import PieceFile, Pieces, Wanted

BEGIN_BYTES, END_BYTES = 16 << 10, 64 << 10
"""Of a file: the first batch's description, and the list of its batches."""
MARK_BYTES, LENGTH_BYTES = 6, 4
"""Behind the list: its length, and `ARROW1`."""
DICTIONARIES, BATCHES = 2, 3
"""Fields of the list."""
Ranges = list[tuple[np.ndarray, np.ndarray]]


class Rows(NamedTuple):
    """Rows of one batch that are wanted, int64 (n,); None means all."""

    number: int
    batch: int
    rows: np.ndarray | None


class ArrowFile:
    """One open file; its batches have holes where nothing was fetched."""

    def __init__(self, file: PieceFile) -> None:
        self.file = file
        self._buffer = pa.py_buffer(file.map)
        self._blocks: list[tuple[int, int]] = []
        self._reader: Any = None
        self._batches: dict[int, pa.RecordBatch] = {}

    def ends(self) -> Iterator[Wanted]:
        """What has to be here before `read_list`."""
        if self._reader is None:
            yield Wanted(
                self.file,
                np.array([0, max(0, self.file.bytes - END_BYTES)]),
                np.array([min(BEGIN_BYTES, self.file.bytes), self.file.bytes]),
            )

    def read_list(self, pieces: Pieces) -> None:
        """Open the file, as far as it is not open."""
        if self._reader is not None:
            return
        tail = self.file.bytes - MARK_BYTES - LENGTH_BYTES
        (length,) = struct.unpack("<i", self._bytes(tail, tail + LENGTH_BYTES))
        pieces.fill([Wanted.one(self.file, tail - length, self.file.bytes)])
        footer = self._bytes(tail - length, tail)
        if blocks_in(footer, DICTIONARIES):  # they are read with the first batch
            pieces.fill([Wanted.one(self.file, 0, self.file.bytes)])
        self._blocks = blocks_in(footer, BATCHES)
        try:
            self._reader = pa.ipc.open_file(self._buffer)
        except pa.ArrowInvalid as error:
            raise DatasetError(f"'{self.file.uri}' is no Arrow file any more; build the index again.") from error

    @property
    def schema(self) -> pa.Schema:
        """Of the file, after `read_list`."""
        return self._reader.schema

    @property
    def count(self) -> int:
        """Batches, after `read_list`."""
        return len(self._blocks)

    def description(self, one: Rows, columns: Sequence[str]) -> Ranges:
        """What has to be here before `batch`."""
        place, size = self._blocks[one.batch]
        return [(np.array([place]), np.array([place + size]))]

    def batch(self, number: int) -> pa.RecordBatch:
        """A batch of the file, with holes."""
        if number not in self._batches:
            self._batches[number] = self._reader.get_batch(number)
        return self._batches[number]

    def fixed(self, one: Rows, columns: Sequence[str]) -> Ranges:
        """Where lies what has a place of its own for each row, of some columns of a batch; all of what has not."""
        arrays = self._columns(one.batch, columns)
        return [self._placed(*each) for array in arrays for each in _fixed(array, one.rows)]

    def texts(self, one: Rows, columns: Sequence[str]) -> Ranges:
        """Where the texts of rows lie; what `fixed` names must be here."""
        if one.rows is None:
            return []
        arrays = self._columns(one.batch, columns)
        return [self._placed(*each) for array in arrays if _is_text(array) for each in _texts(array, one.rows)]

    def _columns(self, number: int, columns: Sequence[str]) -> list[pa.Array]:
        batch = self.batch(number)
        return [batch.column(name) for name in batch.schema.names if not columns or name in columns]

    def _placed(self, buffer: pa.Buffer, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        place = buffer.address - self._buffer.address
        if buffer.size and not 0 <= place <= self.file.bytes - buffer.size:
            raise DatasetError(f"'{self.file.uri}' is packed, which no build does; build the index again.")
        return starts + place, np.minimum(ends, buffer.size) + place

    def _bytes(self, start: int, end: int) -> bytes:
        return bytes(self.file.map[start:end])


def fetch_rows(pieces: Pieces, files: Mapping[int, ArrowFile], wanted: Sequence[Rows], columns: Sequence[str]) -> None:
    """Fetch rows of batches of several files, in three turns; inside `reading`.

    Args:
        pieces: of the index.
        files: by their numbers, opened by `fetch_ends`.
        wanted: of these files.
        columns: of the records; none means all.
    """
    of_file = defaultdict[int, list[Rows]](list)
    for one in wanted:
        of_file[one.number].append(one)
    for turn in (ArrowFile.description, ArrowFile.fixed, ArrowFile.texts):
        found = ((files[number], turn(files[number], one, columns)) for number, mine in of_file.items() for one in mine)
        pieces.fill(
            Wanted(file.file, *map(np.concatenate, zip(*ranges, strict=True))) for file, ranges in found if ranges
        )


def fetch_ends(pieces: Pieces, files: Sequence[ArrowFile]) -> None:
    """Open files; inside `reading`."""
    pieces.fill(one for file in files for one in file.ends())
    for file in files:
        file.read_list(pieces)


def blocks_in(footer: bytes, field: int) -> list[tuple[int, int]]:
    """*Pure.* Place and bytes of the descriptions of batches, or of dictionaries, that the end of an Arrow file lists.

    It is a FlatBuffers table: a table of places of fields, and a field of structs of (place, bytes, bytes of the body).
    """
    (root,) = struct.unpack_from("<I", footer)
    fields = root - struct.unpack_from("<i", footer, root)[0]
    known = (struct.unpack_from("<H", footer, fields)[0] - 4) // 2
    place = struct.unpack_from("<H", footer, fields + 4 + 2 * field)[0] if field < known else 0
    if not place:
        return []
    vector = root + place + struct.unpack_from("<I", footer, root + place)[0]
    (count,) = struct.unpack_from("<I", footer, vector)
    return [struct.unpack_from("<qi", footer, vector + 4 + 24 * number) for number in range(count)]


def _is_text(array: pa.Array) -> bool:
    kind = array.type
    return pa.types.is_string(kind) or pa.types.is_binary(kind) or _is_large(kind)


def _is_large(kind: pa.DataType) -> bool:
    return pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)


def _fixed(array: pa.Array, rows: np.ndarray | None) -> Iterator[tuple[pa.Buffer, np.ndarray, np.ndarray]]:
    """Buffers of a column, and which bytes of each some rows need before their texts are looked for."""
    buffers = array.buffers()
    if rows is None or not (_is_text(array) or pa.types.is_primitive(array.type)):
        yield from ((one, np.array([0]), np.array([one.size])) for one in buffers if one is not None)
        return
    if buffers[0] is not None:
        yield buffers[0], rows // 8, rows // 8 + 1
    if _is_text(array):
        size = _offset_bytes(array)
        yield buffers[1], rows * size, (rows + 2) * size
    else:
        bits = array.type.bit_width
        yield buffers[1], rows * bits // 8, ((rows + 1) * bits + 7) // 8


def _texts(array: pa.Array, rows: np.ndarray) -> Iterator[tuple[pa.Buffer, np.ndarray, np.ndarray]]:
    """The buffer of texts, and where those of some rows lie in it."""
    _, places, texts = array.buffers()
    if texts is not None:
        offsets = np.frombuffer(places, np.dtype(f"i{_offset_bytes(array)}"))
        yield texts, offsets[rows].astype(np.int64), offsets[rows + 1].astype(np.int64)


def _offset_bytes(array: pa.Array) -> int:
    return 8 if _is_large(array.type) else 4
