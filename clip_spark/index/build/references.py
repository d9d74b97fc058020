"""*Worker.* The queries that an index is calibrated with: a sample, kept with it so that it can grow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.receipt import shard_name
from clip_spark.datasets.row_groups import row_groups
from clip_spark.index.build.read_vectors import VectorReader, dataset_files
from clip_spark.index.build.train import draw_positions
from clip_spark.index.files.layout import PARTS, IndexFile
from clip_spark.index.files.part_writer import HashingStream
from clip_spark.index.open.vectors import VectorStore

REFERENCES = 4096
"""Queries that are kept. Each item is compared with all of them: a million of 512 numbers takes two cores a minute."""


def draw_references(queries: Manifest, dim: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """*Driver.* A sample of the queries: rows of their dataset, int64 (m,), and vectors, float16 (m, dim)."""
    reader = VectorReader(dataset_files(queries, "embeddings"), dim)
    _, drawn = draw_positions(reader.count, 0, REFERENCES, seed)
    return drawn, reader.take(drawn).astype(np.float16)


def read_names(queries: Manifest, rows: np.ndarray, columns: Sequence[str]) -> list[str]:
    """*Driver.* What people call some records (int64, any order) of a dataset: the first column that says something."""
    names = dict[int, str]()
    for file in dataset_files(queries, "records"):
        mine = np.unique(rows[(rows >= file.start) & (rows < file.end)]).tolist()
        if mine:
            with storage.open_read(file.uri) as stream:
                parquet = pq.ParquetFile(stream)
                names |= {row: _name(parquet, row - file.start, columns) for row in mine}
    return [names[row] for row in rows.tolist()]


def _name(parquet: pq.ParquetFile, row: int, columns: Sequence[str]) -> str:
    groups, skip = row_groups(parquet.metadata, row, row + 1)
    known = [name for name in columns if name in parquet.schema_arrow.names]
    record = parquet.read_row_groups(groups, columns=known).slice(skip, 1).to_pylist()[0]
    return str(next(filter(None, record.values()), ""))


def write_numbers(uri: str, path: str, start: int, values: np.ndarray) -> IndexFile:
    """*Worker.* A file of an index with a row of float16 for each of the positions from `start` on."""
    with storage.open_write(storage.join(uri, path)) as stream:
        hashed = HashingStream(stream)
        hashed.write(np.ascontiguousarray(values, np.float16).tobytes())
    return IndexFile(path=path, start=start, rows=len(values), **hashed.figures())


def numbers_path(generation: str, folder: str, number: int) -> str:
    """*Pure.* Where such a file lies inside an index."""
    return f"{PARTS}/{generation}/{folder}/{shard_name(number)}.f16"


@lru_cache(1)
def read_references(uri: str, files: tuple[IndexFile, ...], dim: int) -> np.ndarray:
    """*Worker.* The queries that an index was calibrated with, float32 (m, dim), not to be written to."""
    return np.concatenate([rows for _, rows in VectorStore(uri, files, dim).blocks()])
