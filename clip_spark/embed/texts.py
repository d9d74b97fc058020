"""*Driver.* embed-text: records -> embeddings. One task embeds a run of records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from clip_spark import storage
from clip_spark.datasets.doubled import doubled_rows
from clip_spark.datasets.manifest import Manifest, as_inputs, folder_of, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.record_schema import unify
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.schema import EMBEDDINGS, check_columns
from clip_spark.datasets.shards import ShardWriter
from clip_spark.embed.facts import facts, with_precision
from clip_spark.embed.specs import EmbedTextSpec
from clip_spark.embed.task import ENCODER, EncodeTask, Usage, timed, write_rows
from clip_spark.embed.text_records import TEXT, Preparer, Slice, read_slices, records_schema, with_text
from clip_spark.encoders import check_model
from clip_spark.errors import DatasetError, InputError
from clip_spark.runtime import devices
from clip_spark.runtime.ahead import map_ordered
from clip_spark.runtime.child_process import Apart
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import Planned, read_on_executors, run_shards

if TYPE_CHECKING:
    from clip_spark.encoders.protocol import Encoder, Tokenised

DOUBLED = "records of several inputs, read once"
MOST_SHARD_ROWS, LEAST_SHARD_ROWS, WANTED_SHARDS = 50_000, 1_000, 64


@dataclass(frozen=True)
class RecordShard:
    """One item of the plan: the records of one embedding shard."""

    number: int
    slices: tuple[Slice, ...]


def embed_text(get_spark: SessionSource, spec: EmbedTextSpec) -> Manifest:
    """*Driver.* Embed a column of every record of a dataset; ids are kept, so captions pair with their pictures.

    Raises:
        InputError: there is no dataset of records, or it is empty.
        SpecError: the records have no such column.
        ModelError: the model is unknown or cannot be loaded.
    """
    planned = plan_tasks(spec)
    run = begin_run(spec.output, planned.plan, overwrite=spec.overwrite, read=read_on_executors(get_spark))
    if run.manifest:
        return run.manifest
    items = [planned.items[number] for number in run.pending()]
    if items:
        spark = get_spark()
        threads = devices.threads_per_task(spark.sparkContext, len(items))
        run_shards(spark, "embed-text", items, planned.work(run.output, threads), devices.gpu_profile(spark))
    found = {**facts(run, "text", spec.price_per_hour), "templates": list(spec.said)}
    return run.commit(found, with_precision(run), (ENCODER,))


def plan_tasks(spec: EmbedTextSpec) -> Planned:
    """*Driver.* What the tasks of `embed_text` will do; raises what it raises."""
    sets = [read_manifest(uri, "records", "embeddings") for uri in spec.records]
    check_model(spec.model)
    shards = plan_shards(sets, spec.shard_rows)
    columns = records_columns(sets, spec.text_column)
    plan = Plan.of("embeddings", spec, as_inputs("records", sets), len(shards))

    def work(output: str, threads: int) -> TextWork:
        task = EncodeTask(output, plan.fingerprint, spec.encoder, spec.batch_size, threads)
        return TextWork(task, spec.said, spec.text_column, columns)

    return Planned(plan, shards, work)


def records_columns(sets: Sequence[Manifest], text_column: str) -> pa.Schema:
    """*Driver.* The columns of all sets of records; raises SpecError where one lacks the text column."""
    found = [(records.uri, records_schema(records_files(records)[0][0])) for records in sets if records.rows]
    for _, columns in found:
        check_columns([text_column], columns.names)
    return found[0][1] if len(found) == 1 else unify(found)


def plan_shards(sets: Sequence[Manifest], shard_rows: int) -> list[RecordShard]:
    """*Driver.* Cut all records, in their order, into shards of nearly equal numbers of rows.

    Args:
        sets: the datasets; a record that several hold is read where it comes first.
        shard_rows: most rows of a shard; 0 chooses, so that small datasets still keep many cores busy.
    """
    rows = sum(records.rows for records in sets)
    if rows == 0:
        raise InputError(f"'{sets[0].uri}' holds no records; there is nothing to embed.")
    most = shard_rows or min(MOST_SHARD_ROWS, max(LEAST_SHARD_ROWS, -(-rows // WANTED_SHARDS)))
    count = -(-rows // most)
    bounds = [rows * number // count for number in range(count + 1)]
    files = [file for records in sets for file in records_files(records)]
    doubled = doubled_rows([uri for uri, _ in files]) if len(sets) > 1 else {}
    cuts = cut_files(files, bounds)
    return [RecordShard(n, tuple(_without(part, doubled) for part in slices)) for n, slices in enumerate(cuts)]


def _without(part: Slice, doubled: Mapping[str, np.ndarray]) -> Slice:
    rows = doubled.get(part.uri)
    if rows is None:
        return part
    inside = rows[(rows >= part.start) & (rows < part.stop)]
    return replace(part, without=tuple(inside.tolist()))


def records_files(records: Manifest) -> list[tuple[str, int]]:
    """*Driver.* (URI, rows) of each records file, in order."""
    files = [
        (storage.join(records.uri, path), receipt.rows)
        for receipt in records.receipts
        for path in receipt.files
        if folder_of(path) == "records"
    ]
    if sum(rows for _, rows in files) != records.rows:
        raise DatasetError(f"'{records.uri}' lists {records.rows} records, but its files do not; build it again.")
    return files


def cut_files(files: Iterable[tuple[str, int]], bounds: Sequence[int]) -> list[tuple[Slice, ...]]:
    """*Pure.* The slices of (URI, rows) that hold each stretch of their concatenation; each file is looked at once.

    Args:
        files: in order; together at least as many rows as the last of `bounds`.
        bounds: ascending row numbers, the first of them 0; one stretch lies between each two.
    """
    found: list[list[Slice]] = [[] for _ in bounds[1:]]
    shard = first = 0
    for uri, rows in files:
        start = 0
        while start < rows and shard < len(found):
            stop = min(rows, bounds[shard + 1] - first)
            if start < stop:
                found[shard].append(Slice(uri, start, stop))
            start, shard = stop, shard + (first + stop == bounds[shard + 1])
        first += rows
    return [tuple(slices) for slices in found]


@dataclass(frozen=True)
class TextWork:
    """*Worker.* Embeds one shard of records; picklable.

    Attributes:
        task: what all shards share.
        templates: what is said of each record.
        column: the one to embed.
        columns: of the records of all sets; None are those of the shard's first file.
    """

    task: EncodeTask
    templates: tuple[str, ...]
    column: str = TEXT
    columns: pa.Schema | None = None

    def __call__(self, shard: RecordShard) -> Receipt:
        """Write the shard; a thread splits the next records' texts into tokens while the model computes."""
        usage = Usage(self.task)
        encoder = usage.encoder
        stored = records_schema(shard.slices[0].uri) if self.columns is None else self.columns
        folders = {"embeddings": EMBEDDINGS, "records": with_text(stored.empty_table(), self.column).schema}
        with (
            ShardWriter(self.task.output, self.task.plan, shard.number, folders) as writer,
            Apart(encoder.tokenise) as trial,
        ):
            prepare = Preparer(encoder.tokenise, self.column, self.templates, trial if devices.is_retry() else None)
            tables = timed(read_slices(shard.slices, stored), writer.watch, "read")
            for ready in timed(map_ordered(prepare, tables, threads=1, ahead=2), writer.watch, "wait"):
                for reject in ready.rejects:
                    writer.reject(*reject)
                writer.watch.seconds["tokenise"] += ready.seconds
                write_rows(writer, ready.records, encode_said(encoder, ready.said, self.task.batch_size))
            writer.watch.seconds["wait"] -= writer.watch.seconds["read"]  # it is this thread that reads
            if doubled := sum(len(part.without) for part in shard.slices):
                writer.counters[DOUBLED] = doubled
            usage.add_to(writer)
            return writer.finish()


def encode_said(encoder: Encoder, said: Sequence[Tokenised], per_pass: int = 0) -> np.ndarray:
    """*Worker.* Unit vectors of n texts, float32 (n, d): the mean over their templates.

    Several templates make a text say what all its pictures share (Radford et al. 2021, section 3.1.4).
    """
    found = [encoder.encode_texts(texts, per_pass) for texts in said]
    if len(found) == 1:
        return found[0]
    mean = np.sum(found, axis=0)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)
