"""*Worker.* Records of which only those that are asked for are fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache, partial

import numpy as np
import pyarrow as pa

from clip_spark.index.files.layout import IndexFile
from clip_spark.index.files.pieces import Pieces
from clip_spark.index.open.arrow_pieces import ArrowFile, Rows, fetch_ends, fetch_rows
from clip_spark.index.open.records import BATCH_ROWS, OPEN_FILES, RecordReader, rows_of

FILES_AT_ONCE = 64
"""Of all files, where all are read."""


class PieceRecords(RecordReader):
    """The records of an index of which pieces are here; safe to use from several threads."""

    def __init__(self, pieces: Pieces, files: Sequence[IndexFile], columns: str) -> None:
        super().__init__(pieces.uri, files, columns)
        self._pieces = pieces
        self._file = lru_cache(OPEN_FILES)(lambda number: ArrowFile(pieces.open(files[number])))
        self._open = lru_cache(OPEN_FILES)(partial(_opened, pieces, self._file))
        pieces.on_full(self.close)

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of the columns of all files; where the manifest does not say, their ends are read at once."""
        if not self._columns:
            with self._pieces.reading():
                fetch_ends(self._pieces, [self._file(number) for number in range(min(len(self.files), OPEN_FILES))])
        return self.known_schema()

    def hold(self) -> None:
        """Nothing: what is not here cannot be held."""

    def close(self) -> None:
        """Let go of all that is here."""
        self._open.cache_clear()
        self._file.cache_clear()

    def batches(self, columns: Sequence[str] = ()) -> Iterator[tuple[int, pa.RecordBatch]]:
        """All records, as `RecordReader` gives them; of other columns than these nothing is there."""
        for first in range(0, len(self.files), FILES_AT_ONCE):
            numbers = range(first, min(first + FILES_AT_ONCE, len(self.files)))
            for number, file in self._whole(numbers, columns).items():
                for batch in range(file.count):
                    yield self.files[number].start + batch * BATCH_ROWS, file.batch(batch)

    def _whole(self, numbers: Iterable[int], columns: Sequence[str]) -> dict[int, ArrowFile]:
        """Files with all of some columns; what is here stays as long as somebody holds a batch."""
        with self._pieces.reading():
            files = {number: self._file(number) for number in numbers}
            fetch_ends(self._pieces, list(files.values()))
            wanted = [Rows(number, batch, None) for number, file in files.items() for batch in range(file.count)]
            fetch_rows(self._pieces, files, wanted, columns)
            return files

    def _rows(self, positions: np.ndarray, columns: Sequence[str]) -> Iterable[pa.RecordBatch]:
        found = [(*self._places[at], rows) for at, rows in self._split(positions)]
        with self._pieces.reading():
            files = {number: self._file(number) for number, *_ in found}
            fetch_ends(self._pieces, list(files.values()))
            fetch_rows(self._pieces, files, [Rows(*one) for one in found], columns)
            return [rows_of(files[number].batch(batch), rows, columns) for number, batch, rows in found]


def _opened(pieces: Pieces, file: Callable[[int], ArrowFile], number: int) -> ArrowFile:
    with pieces.reading():
        fetch_ends(pieces, [file(number)])
        return file(number)


def open_records(
    index_uri: str, files: Sequence[IndexFile], columns: str, pieces: Pieces | None = None
) -> RecordReader:
    """*Worker.* Records in whole files, which are fetched when they are opened, or in pieces."""
    return RecordReader(index_uri, files, columns) if pieces is None else PieceRecords(pieces, files, columns)
