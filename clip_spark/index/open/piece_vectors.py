"""*Worker.* Stored vectors of which only those that are asked for are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from clip_spark.index.files.layout import IndexFile
from clip_spark.index.files.pieces import PieceFile, Pieces, Wanted
from clip_spark.index.open.records import OPEN_FILES
from clip_spark.index.open.vectors import VectorStore


class PieceVectors(VectorStore):
    """float16 vectors in files of which pieces are here; safe to use from several threads."""

    def __init__(self, pieces: Pieces, files: Sequence[IndexFile], dim: int) -> None:
        super().__init__(pieces.uri, files, dim)
        self._pieces = pieces
        self._file = lru_cache(OPEN_FILES)(lambda number: pieces.open(files[number]))
        pieces.on_full(self.close)

    def hold(self) -> None:
        """Nothing: what is not here cannot be held."""

    def close(self) -> None:
        """Let go of all that is here."""
        self._file.cache_clear()

    def _block(self, number: int, first: int, last: int) -> np.ndarray:
        (block,) = self._read([(number, np.arange(first, last))])
        return block

    def _read(self, wanted: Sequence[tuple[int, np.ndarray]]) -> list[np.ndarray]:
        size = np.dtype(np.float16).itemsize * self.dim
        with self._pieces.reading():
            found = [(self._file(number), rows) for number, rows in wanted]
            self._pieces.fill(Wanted(file, rows * size, (rows + 1) * size) for file, rows in found)
            return [_rows_of(file, self.dim).take(rows, axis=0) for file, rows in found]


def _rows_of(file: PieceFile, dim: int) -> np.ndarray:
    return np.frombuffer(file.map, np.float16).reshape(-1, dim)


def open_vectors(index_uri: str, files: Sequence[IndexFile], dim: int, pieces: Pieces | None = None) -> VectorStore:
    """*Worker.* Vectors in whole files, which are fetched when they are opened, or in pieces."""
    return VectorStore(index_uri, files, dim) if pieces is None else PieceVectors(pieces, files, dim)
