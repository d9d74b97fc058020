"""*Worker.* What tasks that search share: the index, opened once per process, and the queries of one shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest, folder_of, read_manifest
from clip_spark.errors import InputError
from clip_spark.index.build.read_vectors import VectorFile, VectorReader
from clip_spark.index.files.layout import Effort, read_index
from clip_spark.search.searcher import Searcher

QUERY_ROWS = 8192
"""Vectors searched at once; big enough for matrix multiplication, small enough to stay in memory."""


@lru_cache(1)
def open_searcher(uri: str, generation: str, efforts: tuple[Effort, ...] = ()) -> Searcher:
    """*Worker.* The index, opened once per worker process.

    Args:
        uri: of the index.
        generation: that the job was planned with.
        efforts: instead of those that the index has; none leaves them.

    Raises:
        InputError: another index has taken its place since the job started.
    """
    manifest, info = read_index(uri)
    if info.generation != generation:
        raise InputError(f"The index '{uri}' was replaced while this job ran; run the job again.")
    return Searcher(manifest, replace(info, efforts=efforts or info.efforts))


@lru_cache(1)
def _dataset(uri: str) -> Manifest:
    return read_manifest(uri, "embeddings")


def shard_blocks(uri: str, shard: int, dim: int, columns: Sequence[str]) -> Iterator[tuple[pa.Table, np.ndarray]]:
    """*Worker.* One shard of an embeddings dataset: (records, float32 (m, d)) with m <= QUERY_ROWS."""
    manifest = _dataset(uri)
    receipt = manifest.receipts[shard]
    if receipt.rows == 0:
        return
    place = {folder_of(path): storage.join(uri, path) for path in receipt.files}
    with storage.open_read(place["records"]) as stream:
        records = pq.read_table(stream, columns=list(columns))
    reader = VectorReader([VectorFile(place["embeddings"], 0, receipt.rows)], dim)
    for first, vectors in reader.blocks(rows=QUERY_ROWS):
        yield records.slice(first, len(vectors)), vectors
