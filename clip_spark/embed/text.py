"""*Driver.* embed-text: records -> embeddings. One task embeds a run of records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import devices, storage
from clip_spark.apart import Apart
from clip_spark.embed.task import EncodeTask, Usage, facts, timed, write_rows
from clip_spark.encoders import check_model
from clip_spark.errors import DatasetError, InputError, Rejected
from clip_spark.manifest import Manifest, Plan, begin_run, read_manifest
from clip_spark.schema import EMBEDDINGS, RECORD_ID, check_columns
from clip_spark.session import SessionSource
from clip_spark.shards import Receipt, ShardWriter
from clip_spark.specs.encode import EmbedTextSpec
from clip_spark.tasks import run_shards

if TYPE_CHECKING:
    from clip_spark.encoders.encoder import Encoder

MOST_SHARD_ROWS, LEAST_SHARD_ROWS, WANTED_SHARDS = 50_000, 1_000, 64
TEXT = "text"
SLICE_ROWS = 16_384
"""Records that are in memory at once; texts of one slice share batches."""


@dataclass(frozen=True)
class Slice:
    """Rows `start` to `stop` of one records file."""

    uri: str
    start: int
    stop: int


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
    records = read_manifest(spec.records, "records", "embeddings")
    check_model(spec.model)
    shards = plan_shards(records, spec.shard_rows)
    check_columns([spec.text_column], records_schema(shards[0].slices[0].uri).names)
    run = begin_run(
        spec.output,
        Plan.of("embeddings", spec, {"records": records.as_input()}, len(shards)),
        overwrite=spec.overwrite,
    )
    if run.manifest:
        return run.manifest
    items = [shards[number] for number in run.pending()]
    if items:
        spark = get_spark()
        threads = devices.threads_per_task(spark.sparkContext, len(items))
        task = EncodeTask(run.output, run.plan.fingerprint, spec.encoder, spec.batch_size, threads)
        run_shards(spark, "embed-text", items, TextWork(task, spec.said, spec.text_column), devices.gpu_profile(spark))
    return run.commit({**facts(run, "text", spec.price_per_hour), "templates": list(spec.said)})


def plan_shards(records: Manifest, shard_rows: int) -> list[RecordShard]:
    """*Driver.* Cut all records, in their order, into shards of nearly equal numbers of rows.

    Args:
        records: the dataset.
        shard_rows: most rows of a shard; 0 chooses, so that small datasets still keep many cores busy.
    """
    if records.rows == 0:
        raise InputError(f"'{records.uri}' holds no records; there is nothing to embed.")
    most = shard_rows or min(MOST_SHARD_ROWS, max(LEAST_SHARD_ROWS, -(-records.rows // WANTED_SHARDS)))
    count = -(-records.rows // most)
    bounds = [records.rows * number // count for number in range(count + 1)]
    files = records_files(records)
    return [
        RecordShard(number, tuple(_cut(files, start, stop)))
        for number, (start, stop) in enumerate(zip(bounds, bounds[1:], strict=False))
    ]


def records_files(records: Manifest) -> list[tuple[str, int]]:
    """*Driver.* (URI, rows) of each records file, in order."""
    files = [
        (storage.join(records.uri, path), receipt.rows)
        for receipt in records.receipts
        for path in receipt.files
        if path.startswith("records/")
    ]
    if sum(rows for _, rows in files) != records.rows:
        raise DatasetError(f"'{records.uri}' lists {records.rows} records, but its files do not; build it again.")
    return files


def _cut(files: list[tuple[str, int]], start: int, stop: int) -> Iterator[Slice]:
    """*Pure.* The slices of files that hold rows `start` to `stop` of their concatenation."""
    first = 0
    for uri, rows in files:
        low, high = max(start - first, 0), min(stop - first, rows)
        if low < high:
            yield Slice(uri, low, high)
        first += rows


@dataclass(frozen=True)
class TextWork:
    """*Worker.* Embeds one shard of records; picklable."""

    task: EncodeTask
    templates: tuple[str, ...]
    column: str = TEXT

    def __call__(self, shard: RecordShard) -> Receipt:
        """Write the shard."""
        encoder = self.task.load()
        encoder.tokens_per_pass.request(self.task.batch_size)
        usage = Usage(encoder)
        stored = records_schema(shard.slices[0].uri)
        folders = {"embeddings": EMBEDDINGS, "records": with_text(stored.empty_table(), self.column).schema}
        with (
            ShardWriter(self.task.output, self.task.plan, shard.number, folders) as writer,
            Apart(encoder.split) as split,
        ):
            for table in timed(read_slices(shard.slices, stored), writer.watch, "read"):
                table = keep_texts(with_text(table, self.column), writer)
                if devices.is_retry():
                    table = keep_harmless(table, writer, split, self.templates)
                texts = table.column(TEXT).to_pylist()
                vectors = encode_templates(encoder, texts, self.templates)
                write_rows(writer, table, vectors)
            usage.add_to(writer)
            return writer.finish()


def encode_templates(encoder: Encoder, texts: Sequence[str], templates: Sequence[str]) -> np.ndarray:
    """*Worker.* Unit vectors of texts, float32 (n, d): the mean over templates with {} in place of the text.

    Several templates make a text say what all its pictures share (Radford et al. 2021, section 3.1.4).
    """
    sums = [encoder.encode_texts([template.replace("{}", text) for text in texts]) for template in templates]
    if len(sums) == 1:
        return sums[0]
    mean = np.sum(sums, axis=0)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def records_schema(uri: str) -> pa.Schema:
    """*Worker.* The columns of a records file, the user's own among them."""
    with storage.open_read(uri) as stream:
        return pq.read_schema(stream).remove_metadata()


def with_text(table: pa.Table, column: str) -> pa.Table:
    """*Worker.* Records whose `text` is what is embedded: a copy of that column."""
    if column == TEXT:
        return table
    others = [name for name in table.column_names if name != TEXT]
    return table.select(others).append_column(TEXT, table.column(column).cast(pa.string()))


def read_slices(slices: tuple[Slice, ...], arrow_schema: pa.Schema) -> Iterator[pa.Table]:
    """*Worker.* The records of some slices, in order, at most SLICE_ROWS at a time; other row groups are not read."""
    for part in slices:
        with storage.open_read(part.uri) as stream:
            file = pq.ParquetFile(stream)
            groups, skip = _row_groups(file.metadata, part)
            table = file.read_row_groups(groups).slice(skip, part.stop - part.start).select(arrow_schema.names)
        for start in range(0, table.num_rows, SLICE_ROWS):
            yield table.slice(start, SLICE_ROWS).cast(arrow_schema)


def _row_groups(metadata: pq.FileMetaData, part: Slice) -> tuple[list[int], int]:
    """*Pure.* The row groups that hold a slice, and how many rows before the slice they bring along."""
    groups: list[int] = []
    first = skip = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if first < part.stop and first + rows > part.start:
            skip = part.start - first if not groups else skip
            groups.append(group)
        first += rows
    return groups, skip


def keep_texts(table: pa.Table, writer: ShardWriter) -> pa.Table:
    """*Worker.* The rows that have a text; the others are rejected."""
    texts = table.column(TEXT).to_pylist()
    usable = [bool(text and text.strip()) for text in texts]
    for index in (index for index, good in enumerate(usable) if not good):
        writer.reject(str(table.column(RECORD_ID)[index]), "no text", "the record's text is empty")
    return table if all(usable) else table.filter(pa.array(usable))


def keep_harmless(
    table: pa.Table, writer: ShardWriter, split: Apart[list[str], object], templates: Sequence[str]
) -> pa.Table:
    """*Worker.* The rows whose texts can be split into tokens; a text that ends the process that does it is rejected.

    Only what comes before the model depends on a text's own characters: the model itself sees numbers of a vocabulary.
    """
    harmless = []
    for record_id, text in zip(table.column(RECORD_ID).to_pylist(), table.column(TEXT).to_pylist(), strict=True):
        try:
            split([template.replace("{}", text) for template in templates])
            harmless.append(True)
        except Rejected as error:
            writer.reject(record_id, error.reason, error.message)
            harmless.append(False)
    return table.filter(pa.array(harmless, pa.bool_()))
