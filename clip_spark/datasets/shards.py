"""*Worker.* One task writes one shard: data files, rejects, and last its receipt.

    <dataset>/<folder>/00000.parquet   one file in each folder that the step names (embeddings, records, tags, ...)
    <dataset>/rejects/00000.parquet    only if there are any
    <dataset>/receipts/00000.json      written last; a shard without a receipt does not exist

A retried, speculative or late task writes the same rows under the same names, so nothing is doubled.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.errors import DatasetError, OutputError

PLAN = "plan.json"
RECEIPTS = "receipts"
REJECTS = "rejects"
RECORD_ROW_GROUP_ROWS = 1024
"""Small row groups: a search reads single records by position, and must not read a whole file for one row."""
UNIT_TOLERANCE = 1e-3
"""How far the length of a float32 embedding may be from 1."""
LATEST_REJECTS = 100_000
"""At most so many rejects of one shard keep their row; all are counted."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a task returns about its shard; small, for there may be a million of them.

    Attributes:
        shard: the number from the plan.
        plan: fingerprint of the plan; a receipt of another plan is not valid.
        rows: rows written.
        files: path inside the dataset -> bytes.
        id_checksum: over the record ids in order (not the vectors: two kinds of device differ in the last bits).
        rejects: reason -> records dropped.
        seconds: stage -> seconds.
        counters: anything else that the step sums up (tokens, texts cut, ...).
    """

    shard: int
    plan: str
    rows: int
    files: dict[str, int]
    id_checksum: str = ""
    rejects: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """*Pure.* Ready for JSON; not `asdict`, which copies every part and takes most of a commit's time."""
        return {name: getattr(self, name) for name in RECEIPT_FIELDS}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Receipt:
        """*Pure.* The inverse of `to_json`; plan, reasons and stages are the same few texts in a million receipts."""
        shared = {name: _interned(value[name]) for name in SHARED_KEYS if value.get(name)}
        return Receipt(**{**value, **shared, "plan": sys.intern(value["plan"])})


RECEIPT_FIELDS = tuple(field.name for field in dataclasses.fields(Receipt))
SHARED_KEYS = ("rejects", "seconds", "counters")


def _interned(value: Mapping[str, Any]) -> dict[str, Any]:
    return {sys.intern(key): item for key, item in value.items()}


def shard_name(number: int) -> str:
    """*Pure.* `00042`: zero-padded, so that the order by path is the order of the plan (8 digits beyond 99,999)."""
    return f"{number:05d}" if number < 100_000 else f"{number:08d}"


class Stopwatch:
    """*Worker.* Seconds by stage: `with watch("decode"): ...`."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the seconds of the block to `stage`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start


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
        if len(self._rejected) < LATEST_REJECTS:
            self._rejected.append((source, reason, message[:1000]))

    def finish(self) -> Receipt:
        """Make the shard official: close the files, write the rejects, then the receipt.

        Raises:
            DatasetError: the folders do not have the same number of rows.
            OutputError: another run has taken the output folder meanwhile.
        """
        check_plan(self.output, self.plan)
        rows = {self._rows[folder] for folder in self._schemas}
        if len(rows) > 1:
            raise DatasetError(f"Shard {self.number}: folders differ in rows: {dict(self._rows)}.")
        with self.watch("write"):
            self._files.close()
            files = {self._path(folder): storage.file_size(self._uri(folder)) for folder in self._schemas}
            files |= self._write_rejects()
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


def check_plan(output: str, plan: str) -> None:
    """*Worker.* Refuse to write into a folder that a run with --overwrite has taken since this task began.

    Raises:
        OutputError: `plan.json` there is of another plan; no retry can mend that.
    """
    with suppress(FileNotFoundError):
        found = storage.read_json(storage.join(output, PLAN)).get("fingerprint", plan)
        if found != plan:
            raise OutputError(
                f"'{output}': another run has taken over this folder; this run stops and leaves it alone."
            )


def write_receipt(output: str, receipt: Receipt) -> None:
    """*Worker.* Write a shard's receipt; the last thing that a task does."""
    uri = storage.join(output, RECEIPTS, f"{shard_name(receipt.shard)}.json")
    storage.write_json(uri, receipt.to_json())


def embedding_table(ids: list[str], embeddings: np.ndarray) -> pa.Table:
    """*Worker.* Rows for an `embeddings/` file.

    Args:
        ids: n record ids.
        embeddings: float32 (n, d), finite, rows of length 1.

    Raises:
        DatasetError: a row is not finite or not of unit length; nothing wrong is ever written.
    """
    lengths = np.linalg.norm(embeddings, axis=1) if len(embeddings) else np.zeros(0)
    if not np.all(np.abs(lengths - 1.0) < UNIT_TOLERANCE):  # also false for NaN
        worst = int(np.argmax(~(np.abs(lengths - 1.0) < UNIT_TOLERANCE)))
        raise DatasetError(f"The embedding of record {ids[worst]} has length {lengths[worst]}; it must be 1.")
    n, d = embeddings.shape
    offsets = pa.array(np.arange(0, n * d + 1, d, dtype=np.int32))
    values = pa.array(np.ascontiguousarray(embeddings, dtype=np.float32).reshape(-1))
    vectors = pa.ListArray.from_arrays(offsets, values)
    return pa.table([pa.array(ids, pa.string()), vectors], schema=schema.EMBEDDINGS)


def read_embeddings(uri: str) -> np.ndarray:
    """*Worker.* The vectors of one embedding shard, float32 (n, d)."""
    with storage.open_read(uri) as stream:
        column = pq.read_table(stream, columns=[schema.EMBEDDING]).column(0).combine_chunks()
    if len(column) == 0:
        return np.zeros((0, 0), np.float32)
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
