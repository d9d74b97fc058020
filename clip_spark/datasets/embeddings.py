"""*Worker.* The files of `embeddings/`: checked when they are written, read as one matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.errors import DatasetError

UNIT_TOLERANCE = 1e-3
"""How far the length of a float32 embedding may be from 1."""


def differing_encoder(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """*Pure.* Why vectors of two encoders cannot be compared: other weights, another preparation of pictures, or []."""
    return [key for key in ("weights_sha256", "preprocess") if one.get(key) != other.get(key)]


def embedding_table(ids: list[str], embeddings: np.ndarray) -> pa.Table:
    """*Worker.* Rows for an `embeddings/` file.

    Args:
        ids: n record ids.
        embeddings: float32 (n, d), finite, rows of length 1.

    Raises:
        DatasetError: a row is not finite or not of unit length; nothing wrong is ever written.
    """
    lengths = np.linalg.norm(embeddings, axis=1) if len(embeddings) else np.zeros(0)
    if not np.all(np.abs(lengths - 1.0) < UNIT_TOLERANCE):  # also false for NaN
        worst = int(np.argmax(~(np.abs(lengths - 1.0) < UNIT_TOLERANCE)))
        raise DatasetError(f"The embedding of record {ids[worst]} has length {lengths[worst]}; it must be 1.")
    n, d = embeddings.shape
    offsets = pa.array(np.arange(0, n * d + 1, d, dtype=np.int32))
    values = pa.array(np.ascontiguousarray(embeddings, dtype=np.float32).reshape(-1))
    vectors = pa.ListArray.from_arrays(offsets, values)
    return pa.table([pa.array(ids, pa.string()), vectors], schema=schema.EMBEDDINGS)


def read_embeddings(uri: str) -> np.ndarray:
    """*Worker.* The vectors of one embedding shard, float32 (n, d)."""
    with storage.open_read(uri) as stream:
        column = pq.read_table(stream, columns=[schema.EMBEDDING]).column(0).combine_chunks()
    if len(column) == 0:
        return np.zeros((0, 0), np.float32)
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
