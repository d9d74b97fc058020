"""*Driver.* make-records: rows of text or tables -> records; of equal texts (or URIs) the first is kept.

files --_read_file--> rows with record ids --shuffle by id--> first of each id --> records/00000.parquet
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.run import Run, begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError, nearest
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import collect
from clip_spark.texts import corpus
from clip_spark.texts.corpus import CorpusFile, Piece
from clip_spark.texts.corpus.listing import LINE_ENDINGS
from clip_spark.texts.specs import RecordsSpec
from clip_spark.texts.tokens import decode

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STEP = "make-records"
TABLE_ENDINGS = (".csv", ".tsv", ".parquet")
SHARD_BYTES = 64 << 20
BATCH_ROWS = 50_000
READ_THREADS = 32
ORDER = "_order"
"""Column of the shuffle only, int64: file number * 2**40 + row number; the smallest of equal ids is kept."""


def make_records(get_spark: SessionSource, spec: RecordsSpec) -> Manifest:
    """*Driver.* One record for each different text (or picture URL) of the rows; see RecordsSpec.

    Raises:
        InputError: the rows are missing, empty, or lack the column.
        OutputError: the output folder holds another run.
    """
    files = corpus.list_corpus(spec.rows, "rows", LINE_ENDINGS + TABLE_ENDINGS)
    columns = _plan_schema(files, spec)
    shards = spec.shards or max(1, -(-sum(file.weight for file in files) // SHARD_BYTES))
    plan = Plan.of("records", spec, {"rows": corpus.as_input(files, spec.rows)}, shards)
    run = begin_run(spec.output, plan, overwrite=spec.overwrite)
    if run.manifest:
        return run.manifest
    if run.pending():
        _make(get_spark(), spec, run, files, columns)
    sums: Counter[str] = sum((Counter(receipt.counters) for receipt in run.receipts()), Counter())
    return run.commit({name: int(sums[name]) for name in ("duplicates", "empty")})


def show_records(manifest: Manifest) -> list[Table]:
    """*Driver.* The first rows."""
    with storage.open_read(manifest.files("records")[0]) as stream:
        batch = next(pq.ParquetFile(stream).iter_batches(5), None)
    rows = batch.to_pylist() if batch is not None else []
    names = tuple(batch.schema.names[:6]) if batch is not None else ()
    return [Table("first records", names, [tuple(str(row[name])[:60] for name in names) for row in rows])]


def key_column(spec: RecordsSpec) -> str:
    """*Pure.* The column that decides whether two rows are the same record."""
    return spec.uri_column or spec.text_column


def _plan_schema(files: Sequence[CorpusFile], spec: RecordsSpec) -> pa.Schema:
    """*Driver.* Columns of the records: id, kind, text or uri, then the user's columns of all files by name."""
    with ThreadPoolExecutor(READ_THREADS) as pool:
        found = list(pool.map(lambda file: _file_schema(file, spec), files))
    try:
        users = pa.unify_schemas(found)
    except pa.ArrowInvalid as error:
        raise InputError(f"The tables of --rows do not fit together: {error}.") from error
    named = {spec.text_column: "text", spec.uri_column: "uri"}
    kept = [
        field.with_name(named.get(field.name, field.name)) for field in users if field.name not in ("record_id", "kind")
    ]
    kept = [field.with_type(pa.string()) if field.name in ("text", "uri") else field for field in kept]
    kept.sort(key=lambda field: field.name not in ("text", "uri"))  # stable: the user's order stays
    return pa.schema([("record_id", pa.string()), ("kind", pa.string()), *kept]).remove_metadata()


def _file_schema(file: CorpusFile, spec: RecordsSpec) -> pa.Schema:
    table = next(islice(_read_tables(Piece(file.uri, file.compression), spec), 1), None)
    found = table.schema if table is not None else pa.schema([])
    missing = {key_column(spec)} - set(found.names) if table is not None else set()
    if missing:
        column = missing.pop()
        option = "uri-column" if spec.uri_column else "text-column"
        raise InputError(
            f"'{file.uri}' has no column '{column}' (it has {', '.join(found.names)}); "
            f"name the right one with --{option}.{nearest(column, found.names)}"
        )
    return found.remove_metadata()


def _read_tables(piece: Piece, spec: RecordsSpec) -> Iterator[pa.Table]:
    """*Worker.* The rows of a file in batches; the columns of a CSV are text, those of a parquet keep their types."""
    plain = corpus.plain_name(piece.uri)
    if not plain.endswith(TABLE_ENDINGS):
        yield from _read_lines(piece, key_column(spec))
        return
    with storage.open_read(piece.uri, piece.compression) as stream:
        if plain.endswith(".parquet"):
            for batch in pq.ParquetFile(stream).iter_batches(BATCH_ROWS):
                yield pa.table(batch)
        else:
            yield from _read_csv(stream, "\t" if plain.endswith(".tsv") else ",")


def _read_lines(piece: Piece, column: str) -> Iterator[pa.Table]:
    lines = corpus.read_lines(piece)
    while batch := list(islice(lines, BATCH_ROWS)):
        yield pa.table({column: pa.array([decode(line).strip() for line in batch], pa.string())})


def _read_csv(stream: Any, delimiter: str) -> Iterator[pa.Table]:
    header = next(csv.reader([decode(stream.readline()).lstrip("\ufeff")], delimiter=delimiter), [])
    stream.seek(0)
    options = pyarrow.csv.ConvertOptions(column_types={name: pa.string() for name in header}, strings_can_be_null=False)
    parsing = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    for batch in pyarrow.csv.open_csv(stream, parse_options=parsing, convert_options=options):
        yield pa.table(batch)


def _make(spark: SparkSession, spec: RecordsSpec, run: Run, files: Sequence[CorpusFile], columns: pa.Schema) -> None:
    shards = run.plan.shards
    pieces = [(number, Piece(file.uri, file.compression)) for number, file in enumerate(files)]
    keyed = spark.sparkContext.parallelize(pieces, len(pieces)).flatMap(_ReadFile(spec, columns, shards))
    written = keyed.partitionBy(shards, int).mapPartitionsWithIndex(
        _WriteShard(columns, run.output, run.plan.fingerprint)
    )
    collect(spark, STEP, written, len(pieces) + shards)


@dataclass(frozen=True)
class _ReadFile:
    """*Worker.* (shard number, rows as Arrow IPC, rows without a text) of one file."""

    spec: RecordsSpec
    columns: pa.Schema
    shards: int

    def __call__(self, item: tuple[int, Piece]) -> Iterator[tuple[int, tuple[bytes, int]]]:
        file, piece = item
        row = 0
        for table in _read_tables(piece, self.spec):
            order = (file << 40) + row + np.arange(table.num_rows, dtype=np.int64)
            row += table.num_rows
            rows = as_records(table, self.spec, self.columns).append_column(ORDER, pa.array(order))
            kept = rows.filter(pc.field("record_id").is_valid())
            shard = np.array([int(text[:15], 16) % self.shards for text in kept["record_id"].to_pylist()], np.int64)
            yield 0, (b"", rows.num_rows - kept.num_rows)
            for number in np.unique(shard):
                yield int(number), (to_ipc(kept.filter(pa.array(shard == number))), 0)


def as_records(table: pa.Table, spec: RecordsSpec, columns: pa.Schema) -> pa.Table:
    """*Pure.* The rows in the columns of records; `record_id` is null where the key is missing or blank."""
    named = {spec.text_column: "text", spec.uri_column: "uri"}
    table = table.rename_columns([named.get(name, name) for name in table.column_names])
    keys = table["uri" if spec.uri_column else "text"].cast(pa.string()).to_pylist()
    ids = [schema.record_id(key) if key and key.strip() else None for key in keys]
    made = {
        "record_id": pa.array(ids, pa.string()),
        "kind": pa.array(["image" if spec.uri_column else "text"] * len(ids), pa.string()),
    }
    found = {name: table[name] for name in table.column_names} | made
    nulls = pa.nulls(len(ids))
    return pa.table([found.get(field.name, nulls).cast(field.type) for field in columns], schema=columns)


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
class _WriteShard:
    """*Worker.* Removes duplicates from one shard's rows and writes it in the order of the input."""

    columns: pa.Schema
    output: str
    plan: str

    def __call__(self, shard: int, parts: Iterable[tuple[int, tuple[bytes, int]]]) -> Iterator[Receipt]:
        found = [self.columns.append(pa.field(ORDER, pa.int64())).empty_table()]
        with ShardWriter(self.output, self.plan, shard, {"records": self.columns}) as writer:
            for _, (data, empty) in parts:
                writer.counters["empty"] += empty
                if data:
                    found.append(pa.ipc.open_stream(data).read_all())
            rows = pa.concat_tables(found)
            kept = first_of_each(rows)
            writer.counters["duplicates"] += rows.num_rows - kept.num_rows
            writer.write("records", kept.drop_columns([ORDER]))
            yield writer.finish()
