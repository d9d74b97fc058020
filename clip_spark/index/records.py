"""*Worker.* From a position to its record by arithmetic on row counts, and back by a scan of one column."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import schema, storage
from clip_spark.errors import InputError
from clip_spark.index.reader import dataset_files, group_starts, open_checked
from clip_spark.manifest import Manifest

OPEN_FILES = 256
CACHED_GROUPS = 256
"""Row groups of 1,024 records that stay in memory."""


class RecordReader:
    """The records of an embeddings dataset; safe to use from several threads."""

    def __init__(self, manifest: Manifest) -> None:
        self.uri = manifest.uri
        self.files = dataset_files(manifest, "records")
        self._starts = np.array([file.start for file in self.files], np.int64)
        self._lock = threading.Lock()  # a ParquetFile has one file position
        self._open = lru_cache(OPEN_FILES)(self._open_file)
        self._group = lru_cache(CACHED_GROUPS)(self._read_group)

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return self._open(0)[0].schema_arrow.names if self.files else []

    def take(self, positions: np.ndarray, columns: Sequence[str] = ()) -> pa.Table:
        """Records at positions (int64, any order, doubles allowed) as a table in that order; no columns means all."""
        wanted, inverse = np.unique(positions, return_inverse=True)
        with self._lock:
            tables = list(self._pieces(wanted, tuple(columns)))
        if not tables:
            return pa.table({name: pa.nulls(0) for name in columns})
        return pa.concat_tables(tables, promote_options="default").take(pa.array(inverse.reshape(-1)))

    def _pieces(self, positions: np.ndarray, columns: tuple[str, ...]) -> Any:
        for number, rows in _split(self._starts, positions):
            groups = self._open(number)[1]
            for group, inside in _split(groups, rows):
                table = self._group(number, group, columns)
                yield table.take(pa.array(inside - groups[group]))

    def _open_file(self, number: int) -> tuple[pq.ParquetFile, np.ndarray]:
        file = self.files[number]
        fs, path = storage.filesystem(file.uri)
        parquet = open_checked(fs.open(path, "rb"), file)
        return parquet, np.array(group_starts(parquet, file.start)[:-1], np.int64)

    def _read_group(self, number: int, group: int, columns: tuple[str, ...]) -> pa.Table:
        return self._open(number)[0].read_row_group(group, columns=list(columns) or None, use_threads=False)

    def find(self, record_id: str) -> int:
        """The position of a record.

        Raises:
            InputError: no such record.
        """
        for file in self.files:
            with storage.open_read(file.uri) as stream:
                column = pq.read_table(stream, columns=[schema.RECORD_ID]).column(0)
            row = pc.index(column, record_id).as_py()
            if row >= 0:
                return file.start + row
        raise InputError(f"There is no record '{record_id}' in '{self.uri}'; --json shows the ids of hits.")


def _split(starts: np.ndarray, positions: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """*Pure.* Sorted positions by the interval they lie in: (number of the interval, its positions)."""
    owner = np.searchsorted(starts, positions, side="right") - 1
    numbers, first = np.unique(owner, return_index=True)
    return list(zip(numbers.tolist(), np.split(positions, first[1:]), strict=True)) if len(positions) else []
