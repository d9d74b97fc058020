"""*Worker.* From a position to its record by arithmetic on row counts, and back by a scan of one column.

Parquet would decode a thousand rows to give one; these files are Arrow's own layout, uncompressed and memory-mapped,
so a record costs the pages that it lies on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark.datasets import schema
from clip_spark.errors import InputError
from clip_spark.index.files.layout import IndexFile
from clip_spark.index.files.local_copy import local_path

BATCH_ROWS = 65_536
"""Rows of each batch in a file but the last, so that a row leads to its batch by division."""
OPEN_FILES = 1024


class RecordReader:
    """The records of an index; safe to use from several threads."""

    def __init__(self, index_uri: str, files: Sequence[IndexFile]) -> None:
        self.uri, self.files = index_uri, files
        self._starts = np.array([file.start for file in files], np.int64)
        self._open = lru_cache(OPEN_FILES)(self._open_file)

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return self.schema.names

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self._open(0).schema if self.files else pa.schema([])

    def full_schema(self) -> pa.Schema:
        """Names and types of the columns of all files: what was appended later may have more."""
        schemas = [self._open(number).schema for number in range(len(self.files))]
        return pa.unify_schemas(schemas, promote_options="default") if schemas else pa.schema([])

    def check_columns(self, columns: Sequence[str]) -> None:
        """Raise SpecError unless the records have all of these columns; reads no record."""
        schema.check_columns(columns, self.columns)

    def take(self, positions: np.ndarray, columns: Sequence[str] = ()) -> pa.Table:
        """Records at positions (int64, any order, doubles allowed) as a table in that order; no columns means all."""
        wanted, inverse = np.unique(positions, return_inverse=True)
        pieces = [batch.select(list(columns)) if columns else batch for batch in self._pieces(wanted)]
        if not pieces:
            return pa.table({name: pa.nulls(0) for name in columns})
        tables = [pa.Table.from_batches([piece]) for piece in pieces]
        joined = pa.concat_tables(tables, promote_options="default").combine_chunks()
        return joined.take(pa.array(inverse.reshape(-1)))

    def _pieces(self, positions: np.ndarray) -> Iterator[pa.RecordBatch]:
        owner = np.searchsorted(self._starts, positions, side="right") - 1
        for number, rows in split(owner, positions):
            inside = rows - self._starts[number]
            for batch, places in split(inside // BATCH_ROWS, inside):
                yield self._open(number).get_batch(batch).take(pa.array(places - batch * BATCH_ROWS))

    def _open_file(self, number: int) -> Any:
        return pa.ipc.open_file(pa.memory_map(local_path(self.uri, self.files[number])))

    def batches(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """All records: (position of the first, batch), memory-mapped."""
        for number, file in enumerate(self.files):
            reader = self._open(number)
            for batch in range(reader.num_record_batches):
                yield file.start + batch * BATCH_ROWS, reader.get_batch(batch)

    def table(self) -> pa.Table:
        """All records as one memory-mapped table; nothing is read until a column is used."""
        tables = [pa.Table.from_batches([batch]) for _, batch in self.batches()]
        return pa.concat_tables(tables, promote_options="default")

    def find(self, record_id: str) -> int:
        """The position of a record.

        Raises:
            InputError: no such record.
        """
        for start, batch in self.batches():
            row = pc.index(batch.column(schema.RECORD_ID), record_id).as_py()
            if row >= 0:
                return start + row
        raise InputError(f"There is no record '{record_id}' in '{self.uri}'; `search --json` shows the ids of hits.")

    def find_all(self, record_ids: Sequence[str]) -> np.ndarray:
        """Sorted positions (int64) of all records with one of these ids; unknown ids have none."""
        wanted = pa.array(list(record_ids), pa.string())
        found = [np.empty(0, np.int64)]
        for start, batch in self.batches() if len(wanted) else ():
            hits = pc.is_in(batch.column(schema.RECORD_ID), value_set=wanted).to_numpy(zero_copy_only=False)
            found.append(start + np.flatnonzero(hits).astype(np.int64))
        return np.concatenate(found)


def split(owner: np.ndarray, values: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """*Pure.* Values by their owner: (owner, its values); owners must be sorted."""
    if not len(values):
        return []
    owners, first = np.unique(owner, return_index=True)
    return list(zip(owners.tolist(), np.split(values, first[1:]), strict=True))
