"""*Driver.* score-embeddings: embeddings + heads -> the same embeddings, whose records have a column for each score."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.analysis.heads.head import Head, read_head
from clip_spark.analysis.specs import ScoreSpec
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest, folder_of, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError, SpecError
from clip_spark.index.build.read_vectors import VectorFile, VectorReader
from clip_spark.runtime.row_counts import count_rows
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import Planned, read_on_executors, run_shards

STEP = "score-embeddings"
MOST_BYTES = 64 << 20
"""Of a head's file: it goes to every task."""
COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
COPIED = 8 << 20
BLOCK_ROWS = 8192


@dataclass(frozen=True)
class ScoreTask:
    """*Worker.* Scores one shard; picklable. The file of its embeddings is copied as it is.

    Attributes:
        embeddings: URI of the dataset.
        output: URI of the result.
        plan: fingerprint.
        heads: whose scores become columns.
    """

    embeddings: str
    output: str
    plan: str
    heads: tuple[Head, ...]

    def __call__(self, item: tuple[int, Receipt]) -> Receipt:
        """`item` is the number of the shard and the receipt of the same shard of the embeddings."""
        number, receipt = item
        place = {folder_of(path): storage.join(self.embeddings, path) for path in receipt.files}
        with storage.open_read(place["records"]) as stream:
            records = pq.ParquetFile(stream)
            wider = with_columns(records.schema_arrow.remove_metadata(), self.heads)
            with ShardWriter(self.output, self.plan, number, {"records": wider}) as writer:
                with writer.watch("copy"):
                    _copy(place["embeddings"], writer)
                for block in self._scored(records, place["embeddings"], receipt.rows, writer):
                    writer.write("records", block.cast(wider))
                    count_rows(block.num_rows)
                return writer.finish()

    def _scored(self, records: pq.ParquetFile, embeddings: str, rows: int, writer: ShardWriter) -> Iterator[pa.Table]:
        """Blocks of records with their scores."""
        if not rows:
            return
        reader = VectorReader([VectorFile(embeddings, 0, rows)], self.heads[0].dim)
        batches = records.iter_batches(BLOCK_ROWS)
        table, at = pa.Table.from_batches([], records.schema_arrow), 0
        for _, vectors in reader.blocks(rows=BLOCK_ROWS):
            while table.num_rows - at < len(vectors):
                table, at = pa.concat_tables([table.slice(at), pa.Table.from_batches([next(batches)])]), 0
            with writer.watch("score"):
                block = scored(table.slice(at, len(vectors)), vectors, self.heads)
            at += len(vectors)
            yield block


def _copy(uri: str, writer: ShardWriter) -> None:
    with storage.open_read(uri) as source, writer.attached("embeddings", "parquet") as target:
        shutil.copyfileobj(source, target, COPIED)


def with_columns(records: pa.Schema, heads: tuple[Head, ...]) -> pa.Schema:
    """*Pure.* The columns of records and those of the scores."""
    return pa.schema([*records, *((name, pa.float32()) for head in heads for name in head.columns)])


def scored(records: pa.Table, vectors: np.ndarray, heads: tuple[Head, ...]) -> pa.Table:
    """*Pure.* Records with a column for each score of their vectors, float32 (n, d)."""
    for head in heads:
        for name, values in zip(head.columns, head.scores(vectors).T, strict=True):
            records = records.append_column(name, pa.array(np.ascontiguousarray(values), pa.float32()))
    return records


def score_embeddings(get_spark: SessionSource, spec: ScoreSpec) -> Manifest:
    """*Driver.* Score all embeddings of a dataset.

    Raises:
        InputError: a head is no head, or does not fit the embeddings.
        SpecError: its column has a name that cannot be, or is there already.
    """
    planned = plan_tasks(spec)
    run = begin_run(spec.output, planned.plan, overwrite=spec.overwrite, read=read_on_executors(get_spark))
    if run.manifest is not None:
        return run.manifest
    if pending := run.pending():
        items = [planned.items[number] for number in pending]
        rows = sum(receipt.rows for _, receipt in items)
        run_shards(get_spark(), STEP, items, planned.work(run.output, 0), rows=rows)
    return run.commit(dict(planned.extra))


def plan_tasks(spec: ScoreSpec) -> Planned:
    """*Driver.* What the tasks of `score_embeddings` will do; raises what it raises."""
    found = read_manifest(spec.embeddings, "embeddings")
    heads, inputs = list[Head](), {"embeddings": found.as_input()}
    for given in spec.head:
        name, uri = named(given)
        data = head_bytes(uri)
        heads.append(read_head(data, uri, name, spec.activation, spec.scores))
        inputs[f"head {name}"] = {"uri": uri, "fingerprint": hashlib.sha256(data).hexdigest()}
    check_heads(heads, found)
    plan = Plan.of("embeddings", spec, inputs, len(found.receipts))

    def work(output: str, threads: int) -> ScoreTask:
        return ScoreTask(found.uri, output, plan.fingerprint, tuple(heads))

    columns = [name for head in heads for name in head.columns]
    known = cast("list[str]", found.extra.get("columns", []))
    extra: dict[str, Any] = {**found.extra, "scores": columns, **({"columns": [*known, *columns]} if known else {})}
    return Planned(plan, list(enumerate(found.receipts)), work, extra)


def named(given: str) -> tuple[str, str]:
    """*Pure.* Column and URI of `NAME=URI`, or of a URI whose file is called like the column; raises SpecError."""
    name, equals, uri = given.partition("=")
    if not equals or not COLUMN_NAME.match(name):
        uri, name = given, storage.name(given).split(".", 1)[0].replace("-", "_")
    if not COLUMN_NAME.match(name):
        raise SpecError(f"--head '{given}' gives no name for a column; write NAME={given}.")
    return name, uri


def head_bytes(uri: str) -> bytes:
    """*Driver.* The file of a head; raises InputError where it is not there, or too large to be one."""
    listed = storage.list_files(uri)
    if len(listed) != 1:
        raise InputError(f"The head '{uri}' does not exist, or is no single file.")
    if listed[0].bytes > MOST_BYTES:
        raise InputError(f"'{uri}' has {listed[0].bytes:,} bytes; a head has at most {MOST_BYTES:,}.")
    return storage.read_bytes(uri)


def check_heads(heads: list[Head], found: Manifest) -> None:
    """*Driver.* Raise InputError for a head of other vectors, SpecError for one whose column is there already."""
    dim = int(found.extra["dim"])
    taken = set[str]()
    for uri in found.files("records")[:1]:
        with storage.open_read(uri) as stream:
            taken.update(pq.ParquetFile(stream).schema_arrow.names)
    for head in heads:
        if head.dim != dim:
            raise InputError(f"The head '{head.name}' takes {head.dim} numbers; these embeddings have {dim}.")
        twice = sorted(taken.intersection(head.columns))
        if twice:
            raise SpecError(f"The records have a column '{twice[0]}' already; write --head OTHER_NAME=URI.")
        taken.update(head.columns)


def preview(manifest: Manifest) -> list[Table]:
    """*Driver.* How the scores of the first shard are spread, and the records with the greatest."""
    names = cast("list[str]", manifest.extra["scores"])
    rows, first = list[tuple[Any, ...]](), next((one for one, n in manifest.sized_files("records") if n), "")
    if not first:
        return []
    with storage.open_read(first) as stream:
        table = pq.read_table(stream)
    shown = next((name for name in ("caption", "text", "uri") if name in table.column_names), schema.RECORD_ID)
    for name in names:
        column = table[name]
        quantiles = pc.quantile(column, q=[0.0, 0.1, 0.5, 0.9, 1.0]).to_pylist()
        best = pc.index(column, pc.max(column)).as_py()
        rows.append((name, *(round(value, 4) for value in quantiles), table[shown][best].as_py()))
    columns = ("score", "least", "10 %", "median", "90 %", "greatest", "of")
    return [Table("scores of the first shard", columns, rows)]
