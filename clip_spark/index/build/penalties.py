"""*Driver.* What each item loses for being a hub: the mean cosine of the queries that are nearest to it.

It is one number for an item, whatever is asked (CSLS: Conneau et al. 2018; NNN: Chowdhury et al. 2024). Less is better:
the mean of all cosines, centred vectors and scores divided by their spread all rank worse than plain cosines do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clip_spark.index.build.references import numbers_path, read_references, write_numbers
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.files.keys import is_exact
from clip_spark.index.files.layout import IndexFile, IndexInfo
from clip_spark.index.open.parts import open_part
from clip_spark.index.open.vectors import BLOCK_ROWS, VectorStore, ids_by_list, stored_rows
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import map_items


@dataclass(frozen=True)
class Piece:
    """Positions of an index whose vectors lie in one file: `start` ... `end - 1`."""

    file: IndexFile
    start: int
    end: int


def pieces(info: IndexInfo, first: int = 0) -> list[Piece]:
    """*Pure.* All positions from `first` on, by the files that hold their vectors."""
    files = info.vectors or info.parts  # parts from which records were erased hold less than their positions
    ends = [*(file.start for file in files[1:]), info.rows]
    found = [Piece(file, file.start, end) for file, end in zip(files, ends, strict=True)]
    return [piece for piece in found if piece.start >= first and piece.end > piece.start]


@dataclass(frozen=True)
class PenaltyWriter:
    """*Worker.* Writes the penalties of one piece; picklable."""

    uri: str
    generation: str
    info: IndexInfo
    nearest: int
    strength: float

    def __call__(self, item: tuple[int, Piece]) -> tuple[IndexFile, float]:
        """The file, and its least penalty."""
        number, piece = item
        values = np.zeros(piece.end - piece.start, np.float16)
        least = self._fill(values, piece) if self.strength else 0.0
        path = numbers_path(self.generation, "penalties", number)
        return write_numbers(self.uri, path, piece.start, values), least

    def _fill(self, values: np.ndarray, piece: Piece) -> float:
        """Write the penalties of a piece into float16 (rows,), zeros so far; gives the least of them."""
        references = read_references(self.uri, self.info.references, self.info.dim)
        least = np.inf
        for ids, vectors in self._vectors(piece):
            rows = ids - piece.start
            values[rows] = self.strength * mean_of_nearest(vectors, references, self.nearest)
            least = min(least, float(values[rows].min(initial=np.inf)))
        return least

    def _vectors(self, piece: Piece) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Positions int64 (m,) and vectors float32 (m, d) with m <= BLOCK_ROWS."""
        if self.info.vectors:
            for first, vectors in VectorStore(self.uri, [piece.file], self.info.dim).blocks():
                yield np.arange(first, first + len(vectors)), vectors
            return
        part = open_part(self.uri, piece.file)
        for number, ids in enumerate(ids_by_list(part)):
            for at in range(0, len(ids), BLOCK_ROWS):
                some = np.arange(at, min(at + BLOCK_ROWS, len(ids)))
                yield ids[some], stored_rows(part, number, some)


def mean_of_nearest(vectors: np.ndarray, references: np.ndarray, nearest: int) -> np.ndarray:
    """*Worker.* The mean cosine of each vector, float32 (n, d), with its nearest references, float32 (n,)."""
    faiss = load_faiss()
    rows = np.ascontiguousarray(vectors, np.float32)
    cosines, _ = faiss.knn(rows, references, min(nearest, len(references)), metric=faiss.METRIC_INNER_PRODUCT)
    return cosines.mean(axis=1)


def write_penalties(
    get_spark: SessionSource, step: str, writer: PenaltyWriter, wanted: Sequence[Piece]
) -> tuple[tuple[IndexFile, ...], float]:
    """*Driver.* The penalties of some pieces, and the least of them; a small exact index needs no session."""
    items = list(enumerate(wanted))
    if is_exact(writer.info.key):
        written = [writer(item) for item in items]
    else:
        written = map_items(get_spark(), step, items, writer)
    return tuple(file for file, _ in written), min((least for _, least in written), default=np.inf)
