"""*Worker.* What the tasks of make-records do: rows of a file by shard, and a shard without its duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from clip_spark.datasets.arrow_stream import to_stream
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.shards import ShardWriter
from clip_spark.runtime.row_counts import count_rows, tell_rows
from clip_spark.texts.corpus import Account
from clip_spark.texts.corpus.account import Reject
from clip_spark.texts.corpus.rows import read_numbered
from clip_spark.texts.record_rows import Place, as_records
from clip_spark.texts.row_choice import RowChoice
from clip_spark.texts.specs import RecordsSpec

ORDER = "_order"
"""Column of the shuffle only, int64: file number * 2**40 + row number; the smallest of equal ids is kept."""
BEYOND = "beyond the limit"
"""Counter of records that --limit leaves out among those that were read."""
SAME_ID = "the id of another row"


@dataclass(frozen=True)
class RowsFile:
    """One file of rows.

    Attributes:
        number: in the order of the input.
        uri: where it is.
        relative: its path below the input.
        bytes: its size.
        partitions: the columns that its folders name.
        most: records that are taken of it, where --limit leaves only some.
    """

    number: int
    uri: str
    relative: str
    bytes: int
    partitions: dict[str, str | None]
    most: int | None = None


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
    choice: RowChoice
    shards: int

    def __call__(self, file: RowsFile) -> Iterator[tuple[int, Part]]:
        account = Account()
        written = 0
        for rows in self.records(file, account):
            order = (file.number << 40) + written + np.arange(rows.num_rows, dtype=np.int64)
            written += rows.num_rows
            yield from self._by_shard(rows.append_column(ORDER, pa.array(order)))
        tell_rows()
        yield 0, Part(b"", account.rejects, account.counters)

    def records(self, file: RowsFile, account: Account) -> Iterator[pa.Table]:
        """*Worker.* The records of a file that are taken, in its order and without ORDER."""
        spec, taken = self.spec, 0
        for table, numbers in read_numbered(file.uri, spec.uri_column or spec.text_column, account, spec.encoding):
            rejects, place = len(account.rejects), Place(file.uri, file.relative, numbers)
            rows = as_records(_with_partitions(table, file), spec, self.columns, account, place)
            account.counters["rows"] += table.num_rows - (len(account.rejects) - rejects)
            rows = self.choice.of(rows, account)
            if file.most is not None and taken + rows.num_rows > file.most:
                account.counters[BEYOND] += taken + rows.num_rows - file.most
                rows = rows.slice(0, file.most - taken)
            taken += rows.num_rows
            count_rows(table.num_rows)
            yield rows
            if file.most and taken == file.most:
                return

    def _by_shard(self, rows: pa.Table) -> Iterator[tuple[int, Part]]:
        shard = np.array([int(text[:15], 16) % self.shards for text in rows["record_id"].to_pylist()], np.int64)
        for number in np.unique(shard):
            yield int(number), Part(to_stream(rows.filter(pa.array(shard == number))), [], Counter())


@dataclass(frozen=True)
class CountRecords:
    """*Worker.* How many records of a file could be taken, counted no further than needed."""

    read: ReadFile
    enough: int

    def __call__(self, file: RowsFile) -> int:
        return sum(rows.num_rows for rows in self.read.records(replace(file, most=self.enough), Account()))


def _with_partitions(table: pa.Table, file: RowsFile) -> pa.Table:
    for name, value in file.partitions.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.array([value] * table.num_rows, pa.string()))
    return table


def first_of_each(rows: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """*Pure.* The rows sorted by ORDER, and for each, int64 (n,), which row is the first with its record id."""
    rows = rows.sort_by(ORDER).combine_chunks()
    codes = rows["record_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    return rows, np.unique(codes, return_index=True)[1][codes]


@dataclass(frozen=True)
class WriteShard:
    """*Worker.* Removes duplicates from one shard's rows and writes it in the order of the input.

    Attributes:
        columns: of the records.
        key: the column that is embedded, if ids are the user's own: two rows of one id may differ in it.
        output: the dataset.
        plan: fingerprint.
    """

    columns: pa.Schema
    key: str
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
            rows, first = first_of_each(pa.concat_tables(found))
            again = first != np.arange(rows.num_rows)
            other = self._reject_others(rows, first, again, writer)
            writer.counters["duplicates"] += int(again.sum()) - other
            writer.write("records", rows.filter(pa.array(~again)).drop_columns([ORDER]))
            yield writer.finish()

    def _reject_others(self, rows: pa.Table, first: np.ndarray, again: np.ndarray, writer: ShardWriter) -> int:
        """*Worker.* Reject rows whose id another text or picture has already; returns how many."""
        if not self.key or not again.any():
            return 0
        texts = rows[self.key].combine_chunks()
        other = again & ~pc.equal(texts, texts.take(pa.array(first))).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(other).tolist():
            seen = f"{texts[row].as_py()[:200]!r} has the id of {texts[int(first[row])].as_py()[:200]!r}"
            writer.reject(rows["record_id"][row].as_py(), SAME_ID, seen)
        writer.counters["rows"] -= int(other.sum())
        return int(other.sum())
