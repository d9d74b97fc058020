"""*Driver.* embed-images: pictures -> embeddings. One task reads a part of the pictures, and threads decode ahead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, cast

import numpy as np

from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.run import Run, begin_run
from clip_spark.datasets.schema import EMBEDDINGS
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.sources import write_sources
from clip_spark.datasets.taken_over import CopiedShard
from clip_spark.embed.cut_shard import CutShard, write_cut
from clip_spark.embed.facts import facts, with_precision
from clip_spark.embed.fastest import sample_of
from clip_spark.embed.outcome import checked, with_left_out
from clip_spark.embed.pending import encode_pending
from clip_spark.embed.picture_growth import grow_pictures, sources_of, typed_as_before
from clip_spark.embed.picture_stream import encode_pictures, prepared_pictures
from clip_spark.embed.specs import FASTEST, EmbedImagesSpec
from clip_spark.embed.task import ENCODER, EncodeTask, Usage, timed, write_rows
from clip_spark.encoders import check_backend, check_model
from clip_spark.pictures.columns import address_column, check_picture_column, metadata_columns
from clip_spark.pictures.find import LEAST_FILES, FoundPictures, PictureShard, find_pictures, plan_shards
from clip_spark.pictures.records import MetadataColumn, misfits, records_schema, records_table
from clip_spark.pictures.sources import FilesPart
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import Planned, read_on_executors

WRITE_ROWS = 1024
"""Rows per write: a forward pass is far smaller than a good parquet row group."""


def embed_images(get_spark: SessionSource, spec: EmbedImagesSpec) -> Manifest:
    """*Driver.* Embed every picture of some folders, tars, parquet files or lists.

    Raises:
        InputError: an input is missing or holds no pictures.
        SpecError: a key of the metadata does not exist.
        ClipSparkError: no picture could be embedded, or more were rejected than may be; all is kept.
        ModelError: the model is unknown or cannot be loaded.
    """
    found, planned = _plan(spec)
    run = begin_run(
        spec.output,
        planned.plan,
        overwrite=spec.overwrite,
        read=read_on_executors(get_spark),
        grow=partial(grow_pictures, found, spec.shard_rows, spec.prune),
        prune=spec.prune,
    )
    if run.manifest:
        return checked(run.manifest, spec.max_rejects)
    if run.growth is None:
        write_sources(run.output, sources_of(found, planned.items))
    encode_pending(get_spark, "embed-images", run, planned, partial(_work_of, run, planned), _is_small)
    refine, left_out = with_precision(run), planned.plan.inputs["images"]["left_out"]
    manifest = run.commit(
        facts(run, "image", spec.price_per_hour), lambda report: with_left_out(refine(report), left_out), (ENCODER,)
    )
    return checked(manifest, spec.max_rejects)


def _work_of(run: Run, planned: Planned, threads: int) -> PictureWork:
    """*Driver.* What makes the shards of a run; of one that grows, as those were made that stay."""
    work = cast(PictureWork, planned.work(run.output, threads))
    return replace(work, columns=typed_as_before(work.columns, run))


def _is_small(item: PictureShard | CutShard | CopiedShard) -> bool:
    """*Pure.* Whether an item holds few pictures; of tars and tables that is not known."""
    return isinstance(item, PictureShard) and isinstance(item.part, FilesPart) and len(item.part.files) <= LEAST_FILES


def plan_tasks(spec: EmbedImagesSpec) -> Planned:
    """*Driver.* What the tasks of `embed_images` will do; raises what it raises."""
    return _plan(spec)[1]


def _plan(spec: EmbedImagesSpec) -> tuple[FoundPictures, Planned]:
    check_model(spec.model, spec.encoder.precision)
    check_backend(spec.backend)
    found = find_pictures(spec.images, spec.image_column)
    shards = plan_shards(found, spec.shard_rows)
    check_picture_column(shards, spec.image_column)
    columns = metadata_columns(shards, spec.metadata_columns)
    columns += address_column(shards, columns)
    given: dict[str, Any] = {"uri": ",".join(spec.images), "uris": list(spec.images), "fingerprint": found.fingerprint}
    given["left_out"] = dict(found.left_out)
    plan = Plan.of("embeddings", spec, {"images": given}, len(shards))

    choose = sample_of([shard.part for shard in shards], spec.fast_decode) if spec.precision == FASTEST else None

    def work(output: str, threads: int) -> PictureWork:
        task = EncodeTask(output, plan.fingerprint, spec.encoder, spec.batch_size, threads, choose)
        return PictureWork(task, columns, spec.fast_decode)

    return found, Planned(plan, shards, work)


@dataclass(frozen=True)
class PictureWork:
    """*Worker.* Embeds one shard of pictures; picklable."""

    task: EncodeTask
    columns: tuple[MetadataColumn, ...]
    fast_decode: bool = False

    def __call__(self, shard: PictureShard | CutShard) -> Receipt:
        """Write the shard."""
        if isinstance(shard, CutShard):
            return write_cut(self.task.output, self.task.plan, shard)
        usage = Usage(self.task)
        encoder, per_pass = usage.encoder, self.task.batch_size
        folders = {"embeddings": EMBEDDINGS, "records": records_schema(self.columns)}
        with ShardWriter(self.task.output, self.task.plan, shard.number, folders) as writer:
            prepared = prepared_pictures(encoder, shard.part, writer, self.fast_decode, per_pass)
            encoded = encode_pictures(encoder, timed(prepared, writer.watch, "wait"), per_pass)
            while found := list(islice(encoded, WRITE_ROWS)):
                table = records_table([row for row, _ in found], self.columns)
                for name in (name for row, _ in found for name in misfits(row, self.columns)):
                    writer.counters[f"values of other types, only in metadata: {name}"] += 1
                write_rows(writer, table, np.stack([vector for _, vector in found]))
            usage.add_to(writer)
            return writer.finish()
