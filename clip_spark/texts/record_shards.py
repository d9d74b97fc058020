"""*Worker.* What the tasks of make-records do: rows of a file by shard, and a shard without its duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.shards import ShardWriter
from clip_spark.runtime.row_counts import count_rows, tell_rows
from clip_spark.texts.corpus import Account
from clip_spark.texts.corpus.account import Reject
from clip_spark.texts.corpus.rows import read_tables
from clip_spark.texts.record_rows import Place, as_records
from clip_spark.texts.specs import RecordsSpec

ORDER = "_order"
"""Column of the shuffle only, int64: file number * 2**40 + row number; the smallest of equal ids is kept."""


@dataclass(frozen=True)
class RowsFile:
    """One file of rows: its number in the order of the input, and the columns that its folders name."""

    number: int
    uri: str
    relative: str
    bytes: int
    partitions: dict[str, str | None]


class Part(NamedTuple):
    """What one file tells one shard: rows as Arrow IPC; to shard 0 also what became of the rest."""

    rows: bytes
    rejects: list[Reject]
    counters: Counter[str]


@dataclass(frozen=True)
class ReadFile:
    """*Worker.* (shard number, Part) of one file."""

    spec: RecordsSpec
    columns: pa.Schema
    shards: int

    def __call__(self, file: RowsFile) -> Iterator[tuple[int, Part]]:
        account = Account()
        first = written = 0
        for table in read_tables(file.uri, self.spec.uri_column or self.spec.text_column, account, self.spec.encoding):
            rows = as_records(
                _with_partitions(table, file),
                self.spec,
                self.columns,
                account,
                Place(file.uri, file.relative, first + 1),
            )
            order = (file.number << 40) + written + np.arange(rows.num_rows, dtype=np.int64)
            first, written = first + table.num_rows, written + rows.num_rows
            count_rows(table.num_rows)
            yield from self._by_shard(rows.append_column(ORDER, pa.array(order)))
        tell_rows()
        account.counters["rows"] += first
        yield 0, Part(b"", account.rejects, account.counters)

    def _by_shard(self, rows: pa.Table) -> Iterator[tuple[int, Part]]:
        shard = np.array([int(text[:15], 16) % self.shards for text in rows["record_id"].to_pylist()], np.int64)
        for number in np.unique(shard):
            yield int(number), Part(to_ipc(rows.filter(pa.array(shard == number))), [], Counter())


def _with_partitions(table: pa.Table, file: RowsFile) -> pa.Table:
    for name, value in file.partitions.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.array([value] * table.num_rows, pa.string()))
    return table


def to_ipc(table: pa.Table) -> bytes:
    """*Pure.* A table as bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def first_of_each(rows: pa.Table) -> pa.Table:
    """*Pure.* Of the rows with one record id only the one with the smallest ORDER; sorted by ORDER."""
    rows = rows.sort_by(ORDER).combine_chunks()
    codes = rows["record_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    return rows.take(pa.array(np.sort(np.unique(codes, return_index=True)[1])))


@dataclass(frozen=True)
class WriteShard:
    """*Worker.* Removes duplicates from one shard's rows and writes it in the order of the input."""

    columns: pa.Schema
    output: str
    plan: str

    def __call__(self, shard: int, parts: Iterable[tuple[int, Part]]) -> Iterator[Receipt]:
        found = [self.columns.append(pa.field(ORDER, pa.int64())).empty_table()]
        with ShardWriter(self.output, self.plan, shard, {"records": self.columns}) as writer:
            for _, part in parts:
                writer.counters.update(part.counters)
                for reject in part.rejects:
                    writer.reject(*reject)
                if part.rows:
                    found.append(pa.ipc.open_stream(part.rows).read_all())
            rows = pa.concat_tables(found)
            kept = first_of_each(rows)
            writer.counters["duplicates"] += rows.num_rows - kept.num_rows
            writer.write("records", kept.drop_columns([ORDER]))
            yield writer.finish()
