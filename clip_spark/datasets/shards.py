"""*Worker.* One task writes one shard: data files, rejects, and last its receipt.

    <dataset>/<folder>/00000.parquet   one file in each folder that the step names (embeddings, records, tags, ...)
    <dataset>/rejects/00000.parquet    only if there are any
    <dataset>/receipts/00000.json      written last; a shard without a receipt does not exist

A retried, speculative or late task writes the same rows under the same names, so nothing is doubled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.datasets.own_files import check_known
from clip_spark.datasets.plan import check_plan
from clip_spark.datasets.receipt import Receipt, shard_name, write_receipt
from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.errors import DatasetError

REJECTS = "rejects"
RECORD_ROW_GROUP_ROWS = 1024
"""Small row groups: a search reads single records by position, and must not read a whole file for one row."""
MOST_KEPT_REJECTS = 100_000
"""At most so many rejects of one shard keep their row; all are counted."""


class ShardWriter:
    """*Worker.* Streams the rows of one shard to its files; use as a context manager, then `finish()`.

    Nothing appears under its final name before `finish`, and the receipt comes after every data file.
    """

    def __init__(self, output: str, plan: str, number: int, folders: Mapping[str, pa.Schema]) -> None:
        self.output, self.plan, self.number = output, plan, number
        self.watch = Stopwatch()
        self.counters: Counter[str] = Counter()
        self._schemas = dict(folders)
        self._rejected: list[tuple[str, str, str]] = []
        self._reject_counts: Counter[str] = Counter()
        self._ids: list[str] = []
        self._attached: dict[str, int] = {}
        self._rows: Counter[str] = Counter()
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._files = ExitStack()

    def __enter__(self) -> ShardWriter:
        """Open the files of all folders."""
        for folder, arrow_schema in self._schemas.items():
            stream = self._files.enter_context(storage.open_write(self._uri(folder)))
            self._writers[folder] = self._files.enter_context(_parquet_writer(stream, folder, arrow_schema))
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Without `finish`, or after an error, no file of the shard appears."""
        self._files.__exit__(kind or _Abandoned, error or _Abandoned(), trace) if self._files else None

    def write(self, folder: str, table: pa.Table) -> None:
        """Append rows to one folder's file; ids are taken from a column `record_id` of the first folder named."""
        with self.watch("write"):
            self._writers[folder].write_table(table, row_group_size=_row_group_rows(folder))
        self._rows[folder] += table.num_rows
        if folder == next(iter(self._schemas)) and schema.RECORD_ID in table.column_names:
            self._ids.extend(table.column(schema.RECORD_ID).to_pylist())

    def reject(self, source: str, reason: str, message: str) -> None:
        """Count one dropped record and keep its row."""
        self._reject_counts[reason] += 1
        if len(self._rejected) < MOST_KEPT_REJECTS:
            self._rejected.append((source, reason, message[:1000]))

    def attach(self, folder: str, ending: str, data: bytes) -> None:
        """Write one more file of the shard, which its receipt names too."""
        path = f"{folder}/{shard_name(self.number)}.{ending}"
        storage.write_bytes(storage.join(self.output, path), data)
        self._attached[path] = len(data)

    @contextmanager
    def attached(self, folder: str, ending: str) -> Iterator[IO[bytes]]:
        """The same as a stream, for a file that is too large for memory; it is there when the block ends."""
        path = f"{folder}/{shard_name(self.number)}.{ending}"
        uri = storage.join(self.output, path)
        with storage.open_write(uri) as stream:
            yield stream
        self._attached[path] = storage.file_size(uri)

    def finish(self) -> Receipt:
        """Make the shard official: close the files, write the rejects, then the receipt.

        Raises:
            DatasetError: the folders do not have the same number of rows, or a file has a name that nobody knows.
            OutputError: another run has taken the output folder meanwhile.
        """
        check_plan(self.output, self.plan)
        rows = {self._rows[folder] for folder in self._schemas}
        if len(rows) > 1:
            raise DatasetError(f"Shard {self.number}: folders differ in rows: {dict(self._rows)}.")
        with self.watch("write"):
            self._files.close()
            files = {self._path(folder): storage.file_size(self._uri(folder)) for folder in self._schemas}
            files |= self._attached | self._write_rejects()
            check_known(files)
        receipt = Receipt(
            shard=self.number,
            plan=self.plan,
            rows=rows.pop() if rows else 0,
            files=files,
            id_checksum=schema.id_checksum(self._ids),
            rejects=dict(self._reject_counts),
            seconds={stage: round(seconds, 4) for stage, seconds in self.watch.seconds.items()},
            counters=dict(self.counters),
        )
        write_receipt(self.output, receipt)
        return receipt

    def _write_rejects(self) -> dict[str, int]:
        if not self._rejected:
            return {}
        columns = list(zip(*self._rejected, strict=True))
        table = pa.table([pa.array(column, pa.string()) for column in columns], schema=schema.REJECTS)
        with storage.open_write(self._uri(REJECTS)) as stream:
            pq.write_table(table, stream)
        return {self._path(REJECTS): storage.file_size(self._uri(REJECTS))}

    def _path(self, folder: str) -> str:
        return f"{folder}/{shard_name(self.number)}.parquet"

    def _uri(self, folder: str) -> str:
        return storage.join(self.output, self._path(folder))


class _Abandoned(Exception):
    """Told to the open files when a shard ends without `finish`, so that they discard what they hold."""


def _row_group_rows(folder: str) -> int | None:
    return RECORD_ROW_GROUP_ROWS if folder == "records" else None


def _parquet_writer(stream: Any, folder: str, arrow_schema: pa.Schema) -> pq.ParquetWriter:
    if folder == "embeddings":  # floats do not compress, and a dictionary of them is bigger than they are
        return pq.ParquetWriter(stream, arrow_schema, compression="none", use_dictionary=False, write_statistics=False)
    if folder == "counts":  # texts are all different, and in no order: twice the time and more bytes for nothing
        columns = [name for name in arrow_schema.names if name != "text"]
        return pq.ParquetWriter(
            stream, arrow_schema, compression="zstd", use_dictionary=columns, write_statistics=columns
        )
    return pq.ParquetWriter(stream, arrow_schema, compression="zstd")
