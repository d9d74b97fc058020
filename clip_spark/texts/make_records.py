"""*Driver.* make-records: rows of text or tables -> records; of equal texts (or URIs) the first is kept.

files --_read_file--> rows with record ids --shuffle by id--> first of each id --> records/00000.parquet
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.foreign_tables import partitions
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import Run, begin_run
from clip_spark.datasets.sources import write_sources
from clip_spark.datasets.tables import Table
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import collect
from clip_spark.texts import corpus, outcome
from clip_spark.texts.corpus import Account, CorpusFile
from clip_spark.texts.corpus.rows import read_tables
from clip_spark.texts.made_again import all_again, sources_of
from clip_spark.texts.record_columns import merged_values, plan_columns
from clip_spark.texts.record_shards import BEYOND, CountRecords, ReadFile, RowsFile, WriteShard
from clip_spark.texts.row_choice import FILTERED, NOT_SAMPLED, RowChoice, plan_choice
from clip_spark.texts.specs import RecordsSpec

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STEP = "make-records"
SHARD_BYTES = 64 << 20
READ_THREADS = 32
NOT_KEPT = {
    "duplicates": "duplicates of one that is kept",
    "empty": "without a text",
    FILTERED: "not fulfilling --where",
    NOT_SAMPLED: "not in the sample",
    BEYOND: "read, but beyond --limit",
}
"""Counters of rows that became no record, in words."""
WHOLE_BYTES = 8 << 20
"""A file of JSON up to this is read as a whole for its columns: any row may have keys of its own."""


def make_records(get_spark: SessionSource, spec: RecordsSpec) -> Manifest:
    """*Driver.* One record for each different text (or picture URL) of the rows; see RecordsSpec.

    Raises:
        InputError: the rows are missing, empty, lack the column, or do not fit together.
        OutputError: the output folder holds another run.
        ResultError: no row could be used, or more were rejected than --max-rejects allows.
    """
    listing = corpus.list_corpus(spec.rows, "rows")
    planned = plan_rows(listing.files, spec)
    shards = spec.shards or max(1, -(-sum(file.weight for file in listing.files) // SHARD_BYTES))
    plan = Plan.of("records", spec, {"rows": corpus.as_input(listing.files, spec.rows)}, shards)
    sources = sources_of(listing.files)
    run = begin_run(spec.output, plan, overwrite=spec.overwrite, grow=partial(all_again, sources, "rows", spec.prune))
    if run.manifest:
        return run.manifest
    write_sources(run.output, sources)
    if run.pending():
        _make(get_spark(), spec, run, planned)
    sums = outcome.counters(run)
    outcome.check(run, int(sums["rows"]), spec.max_rejects, _nothing_left(sums))
    left_out = [name for name in (FILTERED, NOT_SAMPLED, BEYOND) if sums[name]]
    extra = {name: int(sums[name]) for name in ("duplicates", "empty", *left_out)}
    about = outcome.of_files(sums, listing.left_out)
    return run.commit(extra, partial(outcome.refined, rows=int(sums["rows"]), about=about))


def show_records(manifest: Manifest) -> list[Table]:
    """*Driver.* The first rows, what was left out and what was rejected."""
    with storage.open_read(manifest.files("records")[0]) as stream:
        batch = next(pq.ParquetFile(stream).iter_batches(5), None)
    rows = batch.to_pylist() if batch is not None else []
    names = tuple(batch.schema.names[:6]) if batch is not None else ()
    first = Table("first records", names, [tuple(str(row[name])[:60] for name in names) for row in rows])
    dropped = [(words, manifest.extra[name]) for name, words in NOT_KEPT.items() if manifest.extra.get(name)]
    return [first, *([Table("not kept", ("which", "rows"), dropped)] if dropped else []), *outcome.tables(manifest)]


@dataclass(frozen=True)
class PlannedRows:
    """The files that are not empty, the columns of all their records, and which of these are taken."""

    files: list[RowsFile]
    columns: pa.Schema
    choice: RowChoice

    def reader(self, spec: RecordsSpec, shards: int) -> ReadFile:
        """*Driver.* What the tasks do with each of the files."""
        return ReadFile(spec, self.columns, self.choice, shards)


def _nothing_left(sums: Counter[str]) -> str:
    """*Pure.* Why nothing came out, where rows were left out as the user wished; empty otherwise."""
    if sums[FILTERED] and not sums[NOT_SAMPLED]:
        return f"no row fulfils --where, {sums[FILTERED]:,} do not"
    return f"--sample took none of {sums[NOT_SAMPLED]:,}; give a larger share" if sums[NOT_SAMPLED] else ""


def plan_rows(listed: Sequence[CorpusFile], spec: RecordsSpec) -> PlannedRows:
    """*Driver.* What is read, and what of it is taken; mistakes in options are found here."""
    files = [
        RowsFile(number, file.uri, file.relative, file.bytes, partitions(file.relative))
        for number, file in enumerate(listed)
        if file.bytes
    ]
    found = _file_schemas(files, spec)
    columns = plan_columns(found, spec, _partition_columns(files))
    names = list(dict.fromkeys(name for schema in found.values() for name in schema.names))
    return PlannedRows(files, columns, plan_choice(spec, columns, names))


def _file_schemas(files: Sequence[RowsFile], spec: RecordsSpec) -> dict[str, pa.Schema]:
    """*Driver.* The columns of each file that has a row, from its first rows."""
    with ThreadPoolExecutor(READ_THREADS) as pool:
        found = pool.map(lambda file: _file_schema(file, spec), files)
    return {file.uri: columns for file, columns in zip(files, found, strict=True) if columns is not None}


def _file_schema(file: RowsFile, spec: RecordsSpec) -> pa.Schema | None:
    """*Driver.* The columns of a file's first rows; of a small file of JSON those of all of its rows."""
    account = Account()
    tables = read_tables(file.uri, spec.uri_column or spec.text_column, account, spec.encoding)
    found = next(tables, None)
    columns = found.schema.remove_metadata() if found is not None else None
    if columns is not None and file.bytes <= WHOLE_BYTES and any("json" in form for form in account.counters):
        for table in tables:
            columns = merged_values(columns, table.schema.remove_metadata())
    return columns


def _partition_columns(files: Sequence[RowsFile]) -> pa.Schema:
    """*Driver.* The columns that folders name: numbers where all are numbers, else text."""
    values: dict[str, list[str]] = {}
    for file in files:
        for name, value in file.partitions.items():
            values.setdefault(name, []).append(value or "0")
    return pa.schema(
        [
            (n, pa.int64() if all(v.lstrip("-").isdecimal() for v in found) else pa.string())
            for n, found in values.items()
        ]
    )


def _make(spark: SparkSession, spec: RecordsSpec, run: Run, planned: PlannedRows) -> None:
    shards = run.plan.shards
    read = planned.reader(spec, shards)
    files = _first_files(spark, read, planned.files, spec.limit) if spec.limit else planned.files
    key = ("uri" if spec.uri_column else "text") if spec.id_column else ""
    keyed = spark.sparkContext.parallelize(files, max(1, len(files))).flatMap(read)
    written = keyed.partitionBy(shards, int).mapPartitionsWithIndex(
        WriteShard(planned.columns, key, run.output, run.plan.fingerprint)
    )
    collect(spark, STEP, written, len(files) + shards)


def _first_files(spark: SparkSession, read: ReadFile, files: Sequence[RowsFile], limit: int) -> list[RowsFile]:
    """*Driver.* The files that the first `limit` records lie in, each with how many of its records are taken.

    As Spark's own `take`: one file is looked at first, then four times as many as before, until there are enough.
    """
    chosen, left, group = list[RowsFile](), limit, 1
    while files and left:
        batch, files = files[:group], files[group:]
        counted = spark.sparkContext.parallelize(batch, len(batch)).map(CountRecords(read, left))
        for file, number in zip(batch, collect(spark, STEP, counted, len(batch)), strict=True):
            if left:
                chosen.append(replace(file, most=min(number, left)))
                left -= min(number, left)
        group *= 4
    return chosen
