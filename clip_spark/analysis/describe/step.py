"""*Driver.* describe-set: how a set of images as a whole is described by each class of text.

For each image and class its best text; from these the distribution of best scores and the top tags, with pictures.

<output>/best/00000.parquet    one row per image and class
<output>/summary.json          what the page shows
<output>/describe.html         the page; stands alone
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from clip_spark import storage
from clip_spark.analysis.classes import check_classes, class_name, conditions
from clip_spark.analysis.describe.page import describe_page
from clip_spark.analysis.describe.summary import BINS_PER_UNIT, STEP, summarise
from clip_spark.analysis.own_recall import measure_own, recall_tables
from clip_spark.analysis.query_shards import open_searcher, shard_blocks
from clip_spark.analysis.specs import DescribeSpec, parse_quotas
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.run import begin_run, finished
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError, SpecError
from clip_spark.index.files.layout import Effort, IndexFile, read_index
from clip_spark.index.files.one_encoder import check_same_encoder
from clip_spark.index.open.parts import MISSING
from clip_spark.index.open.records import RecordReader
from clip_spark.index.open.selection import check_where
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import collect, read_on_executors, run_shards, spread
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MOST_CLASSES = 50
TOO_MANY = MOST_CLASSES + 1
SUMMARY, PAGE = "summary.json", "describe.html"
BEST = pa.schema(
    [
        ("image_id", pa.string()),
        ("uri", pa.string()),
        ("class", pa.string()),
        ("score", pa.float32()),
        ("tag_id", pa.string()),
        ("text", pa.string()),
    ]
)


@dataclass(frozen=True)
class DescribeTask:
    """*Worker.* The best text of each class for the images of one shard; picklable."""

    pictures: str
    index: str
    output: str
    plan: str
    generation: str
    classes: tuple[tuple[str, str], ...]
    efforts: tuple[Effort, ...]
    raw: bool

    def __call__(self, shard: int) -> Receipt:
        """Write the best texts of one shard; `classes` are (name, condition) pairs."""
        searcher = open_searcher(self.index, self.generation, self.efforts)
        with ShardWriter(self.output, self.plan, shard, {"best": BEST}) as writer:
            for records, vectors in shard_blocks(self.pictures, shard, searcher.info.dim, [schema.RECORD_ID, "uri"]):
                for name, condition in self.classes:
                    with writer.watch("search"):
                        wanted = Wanted(k=1, where=condition, raw=self.raw)
                        table = best_texts(searcher, records, vectors, name, wanted)
                    writer.write("best", table)
            return writer.finish()


def best_texts(searcher: Searcher, records: pa.Table, vectors: np.ndarray, name: str, wanted: Wanted) -> pa.Table:
    """*Worker.* Rows of BEST: for each image (float32 (m, d)) the best text of a class, which `wanted` selects."""
    scores, positions = searcher.search_positions(vectors, wanted, kind="image")
    found = np.flatnonzero((positions != MISSING).any(axis=1))
    texts = searcher.records.take(positions[found, 0] if len(found) else np.empty(0, np.int64), ["record_id", "text"])
    pictures = records.take(pa.array(found))
    values = [
        pictures.column(schema.RECORD_ID),
        pictures.column("uri"),
        pa.array([name] * len(found), pa.string()),
        pa.array(scores[found, 0] if len(found) else [], pa.float32()),
        texts.column(schema.RECORD_ID),
        texts.column("text"),
    ]
    return pa.table(values, names=BEST.names).cast(BEST)


def describe_set(get_spark: SessionSource, spec: DescribeSpec) -> Manifest:
    """*Driver.* Describe a set of images.

    Raises:
        SpecError: the texts have no such column, or it has too many values to be classes.
        ModelError: images and texts were embedded by different encoders.
    """
    pictures = read_manifest(spec.embeddings, "embeddings")
    index, info = read_index(spec.index)
    if (info.modality, pictures.extra["modality"]) != ("text", "image"):
        raise InputError("describe-set needs --embeddings of images and an --index of texts.")
    check_same_encoder(info.encoder, pictures.extra["encoder"], "these image embeddings")
    texts = RecordReader(index.uri, info.records, info.columns)
    texts.check_columns([spec.classes])
    if spec.where:
        check_where(texts, spec.where)
    inputs = {"embeddings": pictures.as_input(), "index": index.as_input()}
    plan = Plan.of("description", spec, inputs, len(pictures.receipts))
    if not spec.overwrite and (done := finished(spec.output, plan)) is not None:
        return done
    quotas = parse_quotas(spec.quotas)
    if quotas:
        check_classes(texts, spec.classes, quotas)
    named = tuple(conditions(spec.classes, quotas, spec.where).items())
    classes = named or class_conditions(get_spark(), texts, spec)  # a mistake here must not take the output
    run = begin_run(spec.output, plan, overwrite=spec.overwrite, read=read_on_executors(get_spark))
    own = measure_own(get_spark, STEP, pictures.uri, index.uri, 1)
    if pending := run.pending():
        task = DescribeTask(
            pictures.uri, index.uri, run.output, plan.fingerprint, info.generation, classes, own.efforts, spec.raw
        )
        run_shards(get_spark(), STEP, pending, task)
    files = [storage.join(run.output, path) for receipt in run.receipts() if receipt.rows for path in receipt.files]
    most = max(quotas.values(), default=spec.top)
    summaries = summarise(get_spark(), files, most, spec.examples) if files else []
    for each in summaries:
        each["tags"] = each["tags"][: quotas.get(each["class"], most)]
    found = {"images": pictures.rows, "column": spec.classes, "bins_per_unit": BINS_PER_UNIT, "classes": summaries}
    storage.write_json(storage.join(run.output, SUMMARY), found)
    storage.write_bytes(storage.join(run.output, PAGE), describe_page(found).encode())
    extra = {"page": PAGE, "classes": [name for name, _ in classes], "recall": own.facts}
    return run.commit(extra, beside=(SUMMARY, PAGE))


def class_conditions(spark: SparkSession, texts: RecordReader, spec: DescribeSpec) -> tuple[tuple[str, str], ...]:
    """*Driver.* (class, condition) for each value of the column that says the class.

    Raises:
        SpecError: the column has no value, or too many.
    """
    uri, column = texts.uri, spec.classes
    kind = texts.schema.field(column).type  # one for all files: 1 and 1.0 are one class

    def values(file: IndexFile) -> list[str]:
        known: set[str] = set()
        for _, batch in RecordReader(uri, [file]).batches():
            if column in batch.schema.names and len(known) < TOO_MANY:  # else another set has it
                of_type = batch.column(column).cast(kind, safe=False)
                known.update(class_name(value, kind) for value in of_type.drop_null().unique()[:TOO_MANY].to_pylist())
        return list(known)

    distinct = (
        spread(spark, texts.files).flatMap(values).distinct(1).mapPartitions(lambda names: islice(names, TOO_MANY))
    )
    names = sorted(collect(spark, STEP, distinct, len(texts.files) + 1), key=lambda name: (len(name), name))
    if not 0 < len(names) < TOO_MANY:
        many = f"more than {MOST_CLASSES}" if names else "no"
        raise SpecError(f"--classes {column} has {many} values; 1 to {MOST_CLASSES} make sense as classes.")
    return tuple(conditions(column, names, spec.where).items())


def preview(manifest: Manifest) -> list[Table]:
    """*Driver.* Each class with its scores and first tags."""
    found = storage.read_json(manifest.locate(SUMMARY))
    rows = [
        (
            each["class"],
            each["images"],
            each["mean"],
            *each["quantiles"],
            ", ".join(f"{tag['text']} ({tag['images']})" for tag in each["tags"][:8]),
        )
        for each in found["classes"]
    ]
    columns = (found["column"], "images", "mean best score", "10 %", "median", "90 %", "top tags (images)")
    return [*recall_tables(manifest.extra), Table(f"the set by {found['column']}", columns, rows)]
