"""*Driver.* embed-text: records -> embeddings. One task embeds a run of records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from clip_spark.datasets.manifest import Manifest, as_inputs, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.record_schema import unify
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.schema import EMBEDDINGS, check_columns
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.sources import write_sources
from clip_spark.datasets.taken_over import CopiedShard
from clip_spark.embed.facts import facts, with_precision
from clip_spark.embed.pending import encode_pending
from clip_spark.embed.record_slices import LEAST_SHARD_ROWS, RecordShard, plan_shards, records_files
from clip_spark.embed.specs import EmbedTextSpec
from clip_spark.embed.task import ENCODER, EncodeTask, Usage, timed, write_rows
from clip_spark.embed.text_growth import grow_texts, sources_of
from clip_spark.embed.text_records import TEXT, Preparer, read_slices, records_schema, with_text
from clip_spark.encoders import check_model
from clip_spark.runtime import devices
from clip_spark.runtime.ahead import map_ordered
from clip_spark.runtime.child_process import Apart
from clip_spark.runtime.row_counts import count_rows
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import Planned, read_on_executors

if TYPE_CHECKING:
    from clip_spark.encoders.protocol import Encoder, Tokenised

DOUBLED = "records of several inputs, read once"


def embed_text(get_spark: SessionSource, spec: EmbedTextSpec) -> Manifest:
    """*Driver.* Embed a column of every record of a dataset; ids are kept, so captions pair with their pictures.

    Raises:
        InputError: there is no dataset of records, or it is empty.
        SpecError: the records have no such column.
        ModelError: the model is unknown or cannot be loaded.
    """
    sets, planned = _plan(spec)
    run = begin_run(
        spec.output,
        planned.plan,
        overwrite=spec.overwrite,
        read=read_on_executors(get_spark),
        grow=partial(grow_texts, sets, spec.shard_rows),
    )
    if run.manifest:
        return run.manifest
    if run.growth is None:
        write_sources(run.output, sources_of(sets, planned.items))
    encode_pending(get_spark, "embed-text", run, planned, partial(planned.work, run.output), _is_small)
    found = {**facts(run, "text", spec.price_per_hour), "templates": list(spec.said)}
    return run.commit(found, with_precision(run), (ENCODER,))


def _is_small(item: RecordShard | CopiedShard) -> bool:
    """*Pure.* Whether an item holds few records."""
    return isinstance(item, RecordShard) and sum(part.stop - part.start for part in item.slices) <= LEAST_SHARD_ROWS


def plan_tasks(spec: EmbedTextSpec) -> Planned:
    """*Driver.* What the tasks of `embed_text` will do; raises what it raises."""
    return _plan(spec)[1]


def _plan(spec: EmbedTextSpec) -> tuple[list[Manifest], Planned]:
    sets = [read_manifest(uri, "records", "embeddings") for uri in spec.records]
    check_model(spec.model)
    shards = plan_shards(sets, spec.shard_rows)
    columns = records_columns(sets, spec.text_column)
    plan = Plan.of("embeddings", spec, as_inputs("records", sets), len(shards))

    def work(output: str, threads: int) -> TextWork:
        task = EncodeTask(output, plan.fingerprint, spec.encoder, spec.batch_size, threads)
        return TextWork(task, spec.said, spec.text_column, columns)

    return sets, Planned(plan, shards, work)


def records_columns(sets: Sequence[Manifest], text_column: str) -> pa.Schema:
    """*Driver.* The columns of all sets of records; raises SpecError where one lacks the text column."""
    found = [(records.uri, records_schema(records_files(records)[0][0])) for records in sets if records.rows]
    for _, columns in found:
        check_columns([text_column], columns.names)
    return found[0][1] if len(found) == 1 else unify(found)


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
                count_rows(ready.records.num_rows)
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
