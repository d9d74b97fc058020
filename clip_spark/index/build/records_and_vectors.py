"""*Worker.* What an index keeps of each embedding shard: its records, and beside compressed parts its vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.receipt import shard_name
from clip_spark.index.build.read_vectors import VectorFile, VectorReader, open_checked
from clip_spark.index.files.layout import PARTS, IndexFile
from clip_spark.index.files.part_writer import HashingStream
from clip_spark.index.open.records import BATCH_ROWS

READ_THREADS = 32
"""Footers are small: reading them is bound by the round trip to the store."""


@dataclass(frozen=True)
class ShardFileWriter:
    """Copies one shard's records, and its vectors as float16 if `vectors`; picklable.

    Attributes:
        records: files of the embeddings dataset's `records/`.
        embeddings: files of its `embeddings/`, side by side with those.
    """

    output: str
    generation: str
    records: tuple[VectorFile, ...]
    embeddings: tuple[VectorFile, ...]
    dim: int
    vectors: bool

    def __call__(self, number: int) -> tuple[IndexFile, IndexFile | None]:
        """*Worker.* Write the files of the shard at this place in the list."""
        records = self._write(number, self.records[number], "records", "arrow", self._copy_records)
        if not self.vectors:
            return records, None
        return records, self._write(number, self.embeddings[number], "vectors", "f16", self._copy_vectors)

    def _write(
        self, number: int, source: VectorFile, folder: str, ending: str, copy: Callable[[VectorFile, Any], None]
    ) -> IndexFile:
        path = f"{PARTS}/{self.generation}/{folder}/{shard_name(number)}.{ending}"
        with storage.open_write(storage.join(self.output, path)) as stream:
            hashed = HashingStream(stream)
            copy(source, hashed)
        return IndexFile(path=path, start=source.start, rows=source.rows, **hashed.figures())

    def _copy_records(self, source: VectorFile, target: IO[bytes]) -> None:
        with storage.open_read(source.uri) as stream:
            parquet = open_checked(stream, source)
            sink = pa.PythonFile(target, mode="w")
            with pa.ipc.new_file(sink, parquet.schema_arrow) as writer:
                for batch in full_batches(parquet):
                    writer.write_batch(batch)

    def _copy_vectors(self, source: VectorFile, target: IO[bytes]) -> None:
        reader = VectorReader([source], self.dim)
        for _, vectors in reader.blocks(source.start, source.end):
            target.write(vectors.astype(np.float16).tobytes())


def read_schemas(files: Sequence[VectorFile]) -> list[tuple[str, pa.Schema]]:
    """*Driver.* Each records file with the columns that its footer names."""

    def read(file: VectorFile) -> tuple[str, pa.Schema]:
        with storage.open_read(file.uri) as stream:
            return file.uri, pq.read_schema(stream)

    with ThreadPoolExecutor(READ_THREADS) as pool:
        return list(pool.map(read, files))


def full_batches(parquet: pq.ParquetFile) -> list[pa.RecordBatch]:
    """*Worker.* All rows of a file in batches of exactly BATCH_ROWS, the last one shorter."""
    return parquet.read().combine_chunks().to_batches(max_chunksize=BATCH_ROWS)
