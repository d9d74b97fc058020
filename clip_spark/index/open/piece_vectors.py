"""*Worker.* Stored vectors of which only those that are asked for are fetched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from clip_spark.index.files.layout import IndexFile
from clip_spark.index.files.pieces import PieceFile, Pieces, Wanted
from clip_spark.index.open.records import OPEN_FILES
from clip_spark.index.open.vectors import BLOCK_ROWS, VectorStore


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

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """All vectors, as `VectorStore` gives them."""
        for number, file in enumerate(self.files):
            for first in range(0, file.rows, BLOCK_ROWS):
                rows = np.arange(first, min(first + BLOCK_ROWS, file.rows))
                for block in self._read([(number, rows)]):
                    yield file.start + first, block.astype(np.float32)

    def _read(self, wanted: Sequence[tuple[int, np.ndarray]]) -> Iterable[np.ndarray]:
        size = np.dtype(np.float16).itemsize * self.dim
        with self._pieces.reading():
            found = [(self._file(number), rows) for number, rows in wanted]
            self._pieces.fill(Wanted(file, rows * size, (rows + 1) * size) for file, rows in found)
            return [_rows_of(file, self.dim)[rows] for file, rows in found]


def _rows_of(file: PieceFile, dim: int) -> np.ndarray:
    return np.frombuffer(file.map, np.float16).reshape(-1, dim)


def open_vectors(index_uri: str, files: Sequence[IndexFile], dim: int, pieces: Pieces | None = None) -> VectorStore:
    """*Worker.* Vectors in whole files, which are fetched when they are opened, or in pieces."""
    return VectorStore(index_uri, files, dim) if pieces is None else PieceVectors(pieces, files, dim)
