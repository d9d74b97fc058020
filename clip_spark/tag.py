"""*Driver.* tag-images: image embeddings x text index -> tags; one shard of tags per shard of embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from clip_spark import schema, storage
from clip_spark.errors import InputError
from clip_spark.index.layout import IndexInfo, check_same_encoder, read_index
from clip_spark.index.parts import MISSING
from clip_spark.index.reader import VectorFile, VectorReader
from clip_spark.manifest import Manifest, Plan, begin_run, read_manifest
from clip_spark.report import Table
from clip_spark.search import Searcher
from clip_spark.session import SessionSource
from clip_spark.shards import Receipt, ShardWriter
from clip_spark.sidecars import write_sidecars
from clip_spark.specs.search import TagSpec
from clip_spark.tasks import run_shards

QUERY_ROWS = 8192
"""Images searched at once; big enough for matrix multiplication, small enough to stay in memory."""
PREVIEW_IMAGES = 5


@dataclass(frozen=True)
class TagTask:
    """*Worker.* Tags one shard of image embeddings; picklable.

    Attributes:
        images: URI of the image embeddings.
        index: URI of the text index.
        output: URI of the tags.
        plan: fingerprint.
        generation: of the index when the job was planned.
    """

    images: str
    index: str
    output: str
    plan: str
    generation: str
    k: int
    sidecars: bool

    def __call__(self, shard: int) -> Receipt:
        searcher = open_searcher(self.index, self.generation)
        with ShardWriter(self.output, self.plan, shard, {"tags": schema.TAGS}) as writer:
            for records, vectors in shard_blocks(self.images, shard, searcher.info.dim):
                with writer.watch("search"):
                    table = tag_block(searcher, records, vectors, self.k)
                writer.write("tags", table)
                writer.counters["images"] += len(vectors)
                if self.sidecars:
                    with writer.watch("sidecars"):
                        writer.counters.update(write_sidecars(table))
            return writer.finish()


@lru_cache(1)
def open_searcher(uri: str, generation: str) -> Searcher:
    """*Worker.* The index, opened once per worker process.

    Raises:
        InputError: another index has taken its place since the job started.
    """
    searcher = Searcher.open(uri)
    if searcher.info.generation != generation:
        raise InputError(f"The index '{uri}' was replaced while this job ran; run the job again.")
    return searcher


@lru_cache(1)
def _image_dataset(uri: str) -> Manifest:
    return read_manifest(uri, "embeddings")


def shard_blocks(uri: str, shard: int, dim: int) -> list[tuple[pa.Table, np.ndarray]]:
    """*Worker.* One shard of an embeddings dataset: (records, float32 (m, d)) with m <= QUERY_ROWS."""
    import pyarrow.parquet as pq

    manifest = _image_dataset(uri)
    receipt = manifest.receipts[shard]
    if receipt.rows == 0:
        return []
    place = {path.split("/", 1)[0]: storage.join(uri, path) for path in receipt.files}
    with storage.open_read(place["records"]) as stream:
        records = pq.read_table(stream, columns=[schema.RECORD_ID, "uri"])
    reader = VectorReader([VectorFile(place["embeddings"], 0, receipt.rows)], dim)
    return [(records.slice(first, len(vectors)), vectors) for first, vectors in reader.blocks(rows=QUERY_ROWS)]


def tag_block(searcher: Searcher, records: pa.Table, vectors: np.ndarray, k: int) -> pa.Table:
    """*Worker.* Rows of TAGS for some images.

    Args:
        searcher: the text index.
        records: record_id and uri of m images.
        vectors: float32 (m, d).
        k: tags per image.
    """
    scores, positions = searcher.parts.search(vectors, k)
    found = positions != MISSING
    image, column = np.nonzero(found)  # row by row, so best first within each image
    columns = [name for name in ("n",) if name in searcher.records.columns]
    tags = searcher.records.take(positions[found], [schema.RECORD_ID, "text", *columns])
    of_image = records.take(pa.array(image))
    n = tags.column("n").cast(pa.int32()) if columns else pa.nulls(len(image), pa.int32())
    values = [
        of_image.column(schema.RECORD_ID),
        of_image.column("uri"),
        pa.array(column + 1, pa.int32()),
        pa.array(scores[found], pa.float32()),
        tags.column(schema.RECORD_ID),
        tags.column("text"),
        n,
    ]
    return pa.table(values, names=schema.TAGS.names).cast(schema.TAGS)


def tag_images(get_spark: SessionSource, spec: TagSpec) -> Manifest:
    """*Driver.* Attach to each image the k texts nearest to it.

    Raises:
        ModelError: images and texts were embedded by different encoders.
    """
    images = read_manifest(spec.embeddings, "embeddings")
    index, info = read_index(spec.index)
    _check_inputs(images, info, index.uri)
    inputs = {"embeddings": images.as_input(), "index": index.as_input()}
    plan = Plan.of("tags", spec, inputs, len(images.receipts))
    run = begin_run(spec.output, plan, overwrite=spec.overwrite)
    if run.manifest is not None:
        return run.manifest
    pending = run.pending()
    if pending:
        task = TagTask(images.uri, index.uri, run.output, plan.fingerprint, info.generation, spec.k, spec.sidecars)
        run_shards(get_spark(), "tag-images", pending, task)
    return run.commit({"images": images.rows, "k": spec.k})


def _check_inputs(images: Manifest, info: IndexInfo, index_uri: str) -> None:
    if info.modality != "text":
        raise InputError(f"'{index_uri}' is an index of {info.modality}s; tags come from an index of texts.")
    if images.extra["modality"] != "image":
        raise InputError(f"'{images.uri}' holds embeddings of {images.extra['modality']}s; tag-images needs images.")
    check_same_encoder(info.encoder, images.extra["encoder"], "these image embeddings")


def preview(manifest: Manifest) -> list[Table]:
    """*Driver.* The tags of the first few images."""
    import pyarrow.parquet as pq

    rows: list[tuple[str, str]] = []
    for uri in manifest.files("tags")[:1]:
        with storage.open_read(uri) as stream:
            table = pq.read_table(stream, columns=["uri", "text"]).slice(0, 100 * PREVIEW_IMAGES).to_pylist()
        for image in list(dict.fromkeys(row["uri"] for row in table))[:PREVIEW_IMAGES]:
            texts = [row["text"] for row in table if row["uri"] == image]
            rows.append((storage.name(image.split("::")[0]), ", ".join(texts[:5])))
    return [Table("tags", ("image", "best tags"), rows)]
