"""*Worker.* From a position to its record by arithmetic on row counts, and back by a scan of one column.

Parquet would decode a thousand rows to give one; these files are Arrow's own layout, uncompressed and memory-mapped,
so a record costs the pages that it lies on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark.datasets import schema
from clip_spark.datasets.record_schema import from_text, shaped, unify
from clip_spark.errors import InputError
from clip_spark.index.files.layout import IndexFile
from clip_spark.index.files.local_copy import open_local

BATCH_ROWS = 65_536
"""Rows of each batch in a file but the last, so that a row leads to its batch by division."""
OPEN_FILES = 1024
OPEN_BATCHES = 4096
"""Batches that are kept as Arrow has found them in their file, which costs it more than a few rows of them."""


class RecordReader:
    """The records of an index; safe to use from several threads.

    Attributes:
        uri: of the index.
        files: of records, in the order of their positions.
    """

    def __init__(self, index_uri: str, files: Sequence[IndexFile], columns: str = "") -> None:
        self.uri, self.files, self._columns = index_uri, files, columns
        self._places = [(number, batch) for number, file in enumerate(files) for batch in range(batches_of(file))]
        self._starts = np.array([files[at].start + batch * BATCH_ROWS for at, batch in self._places], np.int64)
        self._open = lru_cache(OPEN_FILES)(partial(_open_file, index_uri, files))  # no circle: see PartSet
        self._batch = lru_cache(OPEN_BATCHES)(partial(_open_batch, self._open))

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return self.schema.names

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of the columns of all files: what was appended may have others (see record_schema.py)."""
        return self.known_schema()

    def known_schema(self) -> pa.Schema:
        """The same, from the manifest or else from the files."""
        if self._columns:
            return from_text(self._columns)
        # The manifest of an older version does not say: its files do.
        return unify((file.path, self._open(number).schema) for number, file in enumerate(self.files))

    def hold(self) -> None:
        """Map all files now, as many as may be open: then they can be read even after they were deleted."""
        for number in range(min(len(self.files), OPEN_FILES)):
            self._open(number)

    def close(self) -> None:
        """Let go of all files."""
        self._batch.cache_clear()
        self._open.cache_clear()

    def check_columns(self, columns: Sequence[str]) -> None:
        """Raise SpecError unless the records have all of these columns; reads no record."""
        schema.check_columns(columns, self.columns)

    def take(self, positions: np.ndarray, columns: Sequence[str] = ()) -> pa.Table:
        """Records at positions (int64, any order, doubles allowed) as a table in that order; no columns means all."""
        order = np.argsort(positions, kind="stable")
        as_wanted = pa.schema([self.schema.field(name) for name in columns]) if columns else self.schema
        pieces = [shaped(batch, as_wanted) for batch in self._rows(positions[order], columns)]
        joined = pa.Table.from_batches(pieces, as_wanted).combine_chunks()
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return joined.take(row_numbers(back))

    def _rows(self, positions: np.ndarray, columns: Sequence[str]) -> Iterable[pa.RecordBatch]:
        """Records at sorted positions, those of each batch together."""
        return (rows_of(self._batch(*self._places[at]), rows, columns) for at, rows in self._split(positions))

    def _split(self, positions: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Sorted positions by their batch: (its number among all, rows of it)."""
        owner = np.searchsorted(self._starts, positions, side="right") - 1
        return [(at, rows - self._starts[at]) for at, rows in split(owner, positions)]

    def batches(self, columns: Sequence[str] = ()) -> Iterator[tuple[int, pa.RecordBatch]]:
        """All records: (position of the first, batch with the columns of its file), memory-mapped.

        Args:
            columns: that are looked at; of an index that is read in pieces the others are not there. None means all.
        """
        for number, file in enumerate(self.files):
            reader = self._open(number)
            for batch in range(reader.num_record_batches):
                yield file.start + batch * BATCH_ROWS, reader.get_batch(batch)

    def find(self, record_id: str) -> int:
        """The position of a record.

        Raises:
            InputError: no such record.
        """
        for start, batch in self.batches([schema.RECORD_ID]):
            row = pc.index(batch.column(schema.RECORD_ID), record_id).as_py()
            if row >= 0:
                return start + row
        raise InputError(f"There is no record '{record_id}' in '{self.uri}'; `search --json` shows the ids of hits.")

    def find_all(self, record_ids: Sequence[str]) -> np.ndarray:
        """Sorted positions (int64) of all records with one of these ids; unknown ids have none."""
        found = [np.empty(0, np.int64)]
        wanted = pa.array(list(record_ids), pa.string()) if record_ids else None
        for start, batch in self.batches([schema.RECORD_ID]) if record_ids else ():
            hits = pc.is_in(batch.column(schema.RECORD_ID), value_set=wanted).to_numpy(zero_copy_only=False)
            found.append(start + np.flatnonzero(hits).astype(np.int64))
        return np.concatenate(found)


def _open_file(index_uri: str, files: Sequence[IndexFile], number: int) -> Any:
    return open_local(index_uri, files[number], lambda path: pa.ipc.open_file(pa.memory_map(path)))


def _open_batch(opened: Callable[[int], Any], number: int, batch: int) -> pa.RecordBatch:
    return opened(number).get_batch(batch)


def rows_of(batch: pa.RecordBatch, rows: np.ndarray, columns: Sequence[str]) -> pa.RecordBatch:
    """*Pure.* Some rows (int64) of a batch, with those of some columns that it has; none means all."""
    here = [name for name in columns if name in batch.schema.names]
    return (batch.select(here) if columns else batch).take(row_numbers(rows))


def batches_of(file: IndexFile) -> int:
    """*Pure.* How many batches a file of records has."""
    return -(-file.rows // BATCH_ROWS)


def row_numbers(rows: np.ndarray) -> pa.Array:
    """*Pure.* int64 (n,) for Arrow, without pa.array, which imports pandas to see whether it is given a Series."""
    return pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows, np.int64))])


def split(owner: np.ndarray, values: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """*Pure.* Values by their owner: (owner, its values); owners must be sorted."""
    if not len(values):
        return []
    owners, first = np.unique(owner, return_index=True)
    return list(zip(owners.tolist(), np.split(values, first[1:]), strict=True))
