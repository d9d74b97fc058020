"""*Driver.* tag-images: image embeddings x text index -> tags; one shard of tags per shard of embeddings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import cast

import numpy as np
import pyarrow as pa

from clip_spark import storage
from clip_spark.analysis.classes import check_classes, class_name, conditions
from clip_spark.analysis.own_recall import measure_own, recall_tables
from clip_spark.analysis.query_shards import open_searcher, shard_blocks
from clip_spark.analysis.sidecars import write_sidecars
from clip_spark.analysis.specs import ORDER, TagSpec, parse_quotas
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError
from clip_spark.index.files.layout import Effort, IndexInfo, read_index
from clip_spark.index.files.one_encoder import check_same_encoder
from clip_spark.index.open.merge import merge
from clip_spark.index.open.parts import MISSING
from clip_spark.index.open.records import RecordReader
from clip_spark.index.open.selection import check_where
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import Planned, read_on_executors, run_shards
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher

PREVIEW_PICTURES = 5
CLASS = "class"
PICTURE_COLUMNS = (schema.RECORD_ID, "uri")


@dataclass(frozen=True)
class TagTask:
    """*Worker.* Tags one shard of image embeddings; picklable.

    Attributes:
        pictures: URI of their embeddings.
        index: URI of the text index.
        output: URI of the tags.
        plan: fingerprint.
        generation: of the index when the job was planned.
        wanted: one search for each of these; several where classes have quotas.
        classes: column of the texts; if it is another than that of n-grams, tags have their `class`.
        efforts: how deep to search, measured with a sample of the pictures; none leaves it to the index.
    """

    pictures: str
    index: str
    output: str
    plan: str
    generation: str
    wanted: tuple[Wanted, ...]
    sidecars: bool
    jsonl: bool
    classes: str = ORDER
    efforts: tuple[Effort, ...] = ()

    def __call__(self, shard: int) -> Receipt:
        """Write the tags of one shard."""
        searcher = open_searcher(self.index, self.generation, self.efforts)
        lines, columns = list[str](), tag_columns(self.classes)
        with ShardWriter(self.output, self.plan, shard, {"tags": columns}) as writer:
            for records, vectors in shard_blocks(self.pictures, shard, searcher.info.dim, PICTURE_COLUMNS):
                with writer.watch("search"):
                    table = tag_block(searcher, records, vectors, self.wanted, self.classes)
                writer.write("tags", table)
                writer.counters["images"] += len(vectors)
                if self.jsonl:
                    lines += tag_lines(table)
                if self.sidecars:
                    with writer.watch("sidecars"):
                        writer.counters.update(write_sidecars(table))
            if self.jsonl:
                writer.attach("jsonl", "jsonl", "".join(lines).encode())
            return writer.finish()


def tag_lines(tags: pa.Table) -> list[str]:
    """*Pure.* One JSON line per picture that has tags: image_id, uri and its tags, best first."""
    lines = []
    for (image_id, uri), rows in groupby(tags.to_pylist(), key=itemgetter("image_id", "uri")):
        mine = [{name: row[name] for name in ("text", "score", "tag_id", "n", CLASS) if name in row} for row in rows]
        for tag in mine:
            tag["score"] = round(tag["score"], 6)
        lines.append(json.dumps({"image_id": image_id, "uri": uri, "tags": mine}, ensure_ascii=False) + "\n")
    return lines


def tag_columns(classes: str) -> pa.Schema:
    """*Pure.* TAGS, with the class of each tag where the user has classes."""
    return schema.TAGS if classes == ORDER else schema.TAGS.append(pa.field(CLASS, pa.string()))


def tag_block(
    searcher: Searcher, records: pa.Table, vectors: np.ndarray, wanted: Sequence[Wanted], classes: str = ORDER
) -> pa.Table:
    """*Worker.* Rows of `tag_columns` for some images.

    Args:
        searcher: the text index.
        records: record_id and uri of m images.
        vectors: float32 (m, d).
        wanted: the tags of an image are the hits of all of these, ranked together.
        classes: column of the texts.
    """
    ranked, positions = best_of_all([searcher.search_ranked(vectors, each, kind="image")[:2] for each in wanted])
    scores = searcher.ranking(wanted[0], "image").cosines(ranked, positions)
    found = positions != MISSING
    picture, column = np.nonzero(found)  # row by row, so best first within each image
    columns = dict.fromkeys(name for name in (ORDER, classes) if name in searcher.records.columns)
    tags = searcher.records.take(positions[found], [schema.RECORD_ID, "text", *columns])
    of_picture = records.take(pa.array(picture))
    n = tags.column(ORDER).cast(pa.int32()) if ORDER in columns else pa.nulls(len(picture), pa.int32())
    values = [
        of_picture.column(schema.RECORD_ID),
        of_picture.column("uri"),
        pa.array(column + 1, pa.int32()),
        pa.array(scores[found], pa.float32()),
        tags.column(schema.RECORD_ID),
        tags.column("text"),
        n,
    ]
    if classes != ORDER:
        kind = tags.schema.field(classes).type
        values.append(pa.array([class_name(value, kind) for value in tags.column(classes).to_pylist()], pa.string()))
    return pa.table(values, schema=tag_columns(classes))


def best_of_all(found: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """*Pure.* Several results per query as one, best first, without hits at the end."""
    if len(found) == 1:
        return found[0]
    scores = [np.where(positions == MISSING, -np.inf, scores) for scores, positions in found]
    together = [(score, positions) for score, (_, positions) in zip(scores, found, strict=True)]
    return merge(together, sum(positions.shape[1] for _, positions in found))


def searches(spec: TagSpec) -> tuple[Wanted, ...]:
    """*Pure.* The searches that a spec asks for: one, or one for each class of texts."""
    quotas = parse_quotas(spec.quotas)
    if not quotas:
        return (spec.wanted(),)
    limits = conditions(spec.classes, quotas, spec.where)
    return tuple(spec.wanted(k=count, where=limits[name]) for name, count in quotas.items())


def tag_images(get_spark: SessionSource, spec: TagSpec) -> Manifest:
    """*Driver.* Attach to each image the k texts nearest to it.

    Raises:
        ModelError: images and texts were embedded by different encoders.
    """
    planned = plan_tasks(spec)
    run = begin_run(spec.output, planned.plan, overwrite=spec.overwrite, read=read_on_executors(get_spark))
    if run.manifest is not None:
        return run.manifest
    own = measure_own(get_spark, "tag-images", spec.embeddings, spec.index, max(each.k for each in searches(spec)))
    if pending := run.pending():
        run_shards(
            get_spark(), "tag-images", pending, replace(cast(TagTask, planned.work(run.output, 0)), efforts=own.efforts)
        )
    return run.commit({**planned.extra, "recall": own.facts})


def plan_tasks(spec: TagSpec) -> Planned:
    """*Driver.* What the tasks of `tag_images` will do; raises what it raises."""
    pictures = read_manifest(spec.embeddings, "embeddings")
    index, info = read_index(spec.index)
    _check_inputs(pictures, info, index.uri)
    wanted, texts = searches(spec), RecordReader(index.uri, info.records, info.columns)
    if spec.classes != ORDER:
        check_classes(texts, spec.classes, parse_quotas(spec.quotas))
    for each in wanted:
        if each.where:  # a mistake in it is found here, before a session
            check_where(texts, each.where)
    inputs = {"embeddings": pictures.as_input(), "index": index.as_input()}
    plan = Plan.of("tags", spec, inputs, len(pictures.receipts))

    def work(output: str, threads: int) -> TagTask:
        return TagTask(
            pictures=pictures.uri,
            index=index.uri,
            output=output,
            plan=plan.fingerprint,
            generation=info.generation,
            wanted=wanted,
            sidecars=spec.sidecars and output.startswith(storage.absolute(spec.output)),  # not for a lone task
            jsonl=spec.jsonl,
            classes=spec.classes,
        )

    extra = {"images": pictures.rows, "k": spec.k, "quotas": list(spec.quotas)}
    return Planned(plan, range(plan.shards), work, extra)


def _check_inputs(pictures: Manifest, info: IndexInfo, index_uri: str) -> None:
    if info.modality != "text":
        raise InputError(f"'{index_uri}' is an index of {info.modality}s; tags come from an index of texts.")
    if pictures.extra["modality"] != "image":
        kind = pictures.extra["modality"]
        raise InputError(f"'{pictures.uri}' holds embeddings of {kind}s; tag-images needs images.")
    check_same_encoder(info.encoder, pictures.extra["encoder"], "these image embeddings")


def preview(manifest: Manifest) -> list[Table]:
    """*Driver.* The tags of a few images, spread over the first shard: neighbours are often alike."""
    import pyarrow.parquet as pq

    rows: list[tuple[str, str]] = []
    for uri in manifest.files("tags")[:1]:
        with storage.open_read(uri) as stream:
            table = pq.read_table(stream, columns=["uri", "text"])
        tags: dict[str, list[str]] = {}
        for picture, text in zip(*(column.to_pylist() for column in table.columns), strict=True):
            tags.setdefault(picture, []).append(text)
        spread = list(tags)[:: max(1, len(tags) // PREVIEW_PICTURES)][:PREVIEW_PICTURES]
        rows += [(storage.name(picture.split("::")[0]), ", ".join(tags[picture][:5])) for picture in spread]
    return [*recall_tables(manifest.extra), Table("tags", ("image", "best tags"), rows)]
