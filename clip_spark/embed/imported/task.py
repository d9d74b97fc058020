"""*Worker.* One shard of what is taken over: vectors checked and written as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from clip_spark.datasets.embeddings import UNIT_TOLERANCE, embedding_table
from clip_spark.datasets.receipt import WRITTEN_AGAIN, Receipt
from clip_spark.datasets.schema import EMBEDDINGS, RECORD_ID
from clip_spark.datasets.shards import ShardWriter
from clip_spark.embed.imported.columns import Columns
from clip_spark.embed.imported.rows import Block, Vectors, npy_vectors, read_blocks
from clip_spark.embed.imported.sources import ImportShard, Source
from clip_spark.embed.task import timed
from clip_spark.runtime.row_counts import count_rows

NO_ID, NOT_FINITE, NO_DIRECTION, NOT_UNIT = "no id", "not finite", "no direction", "not of length 1"
NORMALISED, ROUNDED = "divided by their length", "rounded to float32"
MESSAGES = {
    NO_ID: "the column of ids is empty",
    NOT_FINITE: "NaN or infinite, or no vector of the right length",
    NO_DIRECTION: "all numbers are 0",
    NOT_UNIT: "--normalise divides such vectors by their length",
}


@dataclass(frozen=True)
class ImportTask:
    """*Worker.* Takes over one shard; picklable.

    Attributes:
        output: the dataset's URI.
        plan: fingerprint of the plan.
        columns: how records are made.
        dim: numbers of a vector.
        normalise: whether vectors of another length than 1 are divided by it.
        vectors: what reads them where they are not in parquet.
    """

    output: str
    plan: str
    columns: Columns
    dim: int
    normalise: bool
    vectors: Vectors = npy_vectors

    def __call__(self, shard: ImportShard) -> Receipt:
        """Write the shard."""
        folders = {"embeddings": EMBEDDINGS, "records": self.columns.schema}
        with ShardWriter(self.output, self.plan, shard.number, folders) as writer:
            for source in shard.parts:
                blocks = read_blocks(source, self.columns.vectors, self.dim, self.vectors)
                for block in timed(blocks, writer.watch, "read"):
                    self._write(writer, source, block)
                    count_rows(len(block.vectors))
            return writer.finish()

    def _write(self, writer: ShardWriter, source: Source, block: Block) -> None:
        names = [source.row_name(row) for row in range(block.first, block.first + len(block.vectors))]
        records = self.columns.records(block.beside, names)
        vectors, reasons = checked(block.vectors, self.normalise)
        ids = records.column(RECORD_ID)
        reasons[ids.is_null().to_numpy()] = NO_ID
        for row in np.flatnonzero(reasons != "").tolist():
            reason = str(reasons[row])
            writer.reject(names[row], reason, MESSAGES[reason])
        good = reasons == ""
        if self.normalise and (divided := int((good & ~_is_unit(block.vectors)).sum())):
            writer.counters[NORMALISED] += divided
        if block.vectors.dtype.itemsize > 4:
            writer.counters[ROUNDED] += int(good.sum())
        if source.again:
            writer.counters[WRITTEN_AGAIN] += int(good.sum())
        records, vectors = records.filter(pa.array(good)), vectors[good]
        writer.write("embeddings", embedding_table(records.column(RECORD_ID).to_pylist(), vectors))
        writer.write("records", records)


def checked(vectors: np.ndarray, normalise: bool) -> tuple[np.ndarray, np.ndarray]:
    """*Pure.* Vectors as they are stored, and why some are not: float32 (n, d), and (n,) texts, empty for good ones.

    float16 becomes float32 exactly; vectors of length 1 stay as they are, also beside others that are divided.
    """
    wide = vectors.astype(np.float32)
    reasons = np.full(len(vectors), "", dtype=object)
    good = _is_unit(vectors)
    if normalise:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            exact = vectors.astype(np.float64)
            divided = (exact / np.linalg.norm(exact, axis=1, keepdims=True)).astype(np.float32)
            usable = ~good & (np.abs(np.linalg.norm(divided, axis=1) - 1) < UNIT_TOLERANCE)
        wide[usable] = divided[usable]
        good = good | usable
    reasons[~good] = NOT_UNIT
    reasons[~vectors.any(axis=1)] = NO_DIRECTION
    reasons[~np.isfinite(vectors).all(axis=1)] = NOT_FINITE
    return wide, reasons


def _is_unit(vectors: np.ndarray) -> np.ndarray:
    """As the writer of embeddings checks it; false for NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
        return np.asarray(np.abs(lengths - 1) < UNIT_TOLERANCE)
