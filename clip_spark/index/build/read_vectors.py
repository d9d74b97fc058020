"""*Worker.* The vectors of an embeddings dataset by position, streamed, checked, in the order of its manifest.

Takes the place of embedding-reader in autofaiss's distributed mode: that one lists the folder instead of the manifest
(litter becomes data), reads whole files for any slice of them, and lets NaN through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import UNIT_TOLERANCE
from clip_spark.datasets.manifest import Manifest
from clip_spark.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

BLOCK_ROWS = 16_384


@dataclass(frozen=True)
class VectorFile:
    """One embedding shard: rows `start` ... `start + rows - 1` of the dataset."""

    uri: str
    start: int
    rows: int

    @property
    def end(self) -> int:
        """First position after the file."""
        return self.start + self.rows


def dataset_files(manifest: Manifest, folder: str, start: int = 0) -> tuple[VectorFile, ...]:
    """*Anywhere.* The files of one folder of a dataset with their rows, in manifest order; empty ones left out.

    Positions are counted from `start`, which is not 0 for a dataset that is appended to others.
    """
    files = []
    for uri, rows in manifest.sized_files(folder):
        if rows:
            files.append(VectorFile(uri, start, rows))
        start += rows
    return tuple(files)


class VectorReader:
    """Reads vectors by position; picklable, and called by autofaiss as it calls an EmbeddingReader.

    Attributes:
        first: position of the first vector.
        count: vectors.
        dimension: d.
    """

    def __init__(self, files: Sequence[VectorFile], dimension: int) -> None:
        self.files = tuple(files)
        self.first = self.files[0].start if self.files else 0
        self.count = self.files[-1].end - self.first if self.files else 0
        self.dimension = dimension

    def __call__(
        self, batch_size: int, start: int = 0, end: int | None = None, **_: Any
    ) -> Iterator[tuple[np.ndarray, pd.DataFrame]]:
        """Rows `start` ... `end - 1` in blocks, with a frame whose column `i` holds their positions (int64)."""
        import pandas as pd

        end = self.count if end is None else end
        for first, vectors in self.blocks(self.first + start, self.first + end, batch_size):
            positions = np.arange(first, first + len(vectors), dtype=np.int64)
            yield vectors, pd.DataFrame({"i": positions})

    def blocks(
        self, start: int = 0, end: int | None = None, rows: int = BLOCK_ROWS
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(position of the first, float32 (m, d)) with m <= rows, in order.

        Raises:
            DatasetError: a file is not what the manifest says, or holds a vector that is not finite or not of length 1.
        """
        end = self.first + self.count if end is None else end
        for file in self.files:
            low, high = max(start, file.start), min(end, file.end)
            if low < high:
                yield from self._file_blocks(file, low, high, min(rows, BLOCK_ROWS))

    def _file_blocks(self, file: VectorFile, low: int, high: int, rows: int) -> Iterator[tuple[int, np.ndarray]]:
        with storage.open_read(file.uri) as stream:
            parquet = open_checked(stream, file)
            groups = group_starts(parquet, file.start)
            wanted = [g for g in range(len(groups) - 1) if groups[g] < high and groups[g + 1] > low]
            at = groups[wanted[0]]
            for batch in parquet.iter_batches(rows, row_groups=wanted, columns=[schema.EMBEDDING]):
                vectors = self._vectors(batch.column(0), file)
                first, last = max(low, at), min(high, at + len(vectors))
                if first < last:
                    yield first, vectors[first - at : last - at]
                at += len(vectors)

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Vectors at sorted positions (int64), float32 (m, d); one row group at a time is in memory."""
        out = np.empty((len(positions), self.dimension), np.float32)
        for file in self.files:
            low, high = np.searchsorted(positions, (file.start, file.end))
            if low < high:
                self._take_file(file, positions[low:high], out[low:high])
        return out

    def _take_file(self, file: VectorFile, positions: np.ndarray, out: np.ndarray) -> None:
        with storage.open_read(file.uri) as stream:
            parquet = open_checked(stream, file)
            groups = group_starts(parquet, file.start)
            for group in range(len(groups) - 1):
                low, high = np.searchsorted(positions, (groups[group], groups[group + 1]))
                if low < high:
                    column = parquet.read_row_group(group, columns=[schema.EMBEDDING]).column(0).combine_chunks()
                    out[low:high] = self._vectors(column, file)[positions[low:high] - groups[group]]

    def _vectors(self, column: Any, file: VectorFile) -> np.ndarray:
        flat = column.flatten().to_numpy(zero_copy_only=False)
        if len(flat) != len(column) * self.dimension:
            raise DatasetError(f"'{file.uri}' holds vectors that do not have {self.dimension} numbers.")
        vectors = flat.reshape(len(column), self.dimension)
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        if not np.all(np.abs(lengths - 1.0) < UNIT_TOLERANCE):  # also false for NaN
            raise DatasetError(f"'{file.uri}' holds a vector that is not finite or not of length 1; embed it again.")
        return vectors


def open_checked(stream: Any, file: VectorFile) -> pq.ParquetFile:
    """*Worker.* A parquet file that has as many rows as the manifest says."""
    parquet = pq.ParquetFile(stream)
    if parquet.metadata.num_rows != file.rows:
        raise DatasetError(f"'{file.uri}' has {parquet.metadata.num_rows} rows, its manifest says {file.rows}.")
    return parquet


def group_starts(parquet: pq.ParquetFile, start: int) -> list[int]:
    """*Pure.* Position of the first row of each row group, and the end of the last."""
    starts = [start]
    for group in range(parquet.metadata.num_row_groups):
        starts.append(starts[-1] + parquet.metadata.row_group(group).num_rows)
    return starts
