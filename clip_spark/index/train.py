"""*Worker.* Quantizers, trained on a random sample over all shards."""

from __future__ import annotations

from typing import Any

import numpy as np

from clip_spark.errors import SpecError
from clip_spark.index.keys import is_exact, lists_of
from clip_spark.index.library import load_faiss

ROWS_PER_LIST = 64
"""Training vectors per list; Faiss wants 39 to 256, and recall at a given effort hardly grows beyond this."""
LEAST_TRAIN_ROWS = 10_000
ITERATIONS = 10


def train_rows(key: str, rows: int, dim: int, memory: int) -> int:
    """*Pure.* How many vectors to train on: enough for the key, in at most `memory` bytes."""
    if is_exact(key):
        return 0
    wanted = max(LEAST_TRAIN_ROWS, ROWS_PER_LIST * lists_of(key))
    return min(rows, wanted, memory // (4 * dim))


def sample_positions(rows: int, count: int, seed: int) -> np.ndarray:
    """*Pure.* `count` different positions below `rows`, sorted int64, the same for the same seed."""
    chosen = np.random.default_rng(seed).choice(rows, size=min(count, rows), replace=False)
    return np.sort(chosen).astype(np.int64)


def new_index(key: str, dim: int, metric: str) -> Any:
    """*Worker.* An empty, untrained Faiss index that takes ids of its own.

    Raises:
        SpecError: Faiss does not know the key.
    """
    faiss = load_faiss()
    kind = faiss.METRIC_INNER_PRODUCT if metric == "ip" else faiss.METRIC_L2
    try:
        index = faiss.index_factory(dim, key, kind)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise SpecError(f"--index-key '{key}' is not one that Faiss builds for {dim} numbers ({reason}).") from error
    return faiss.IndexIDMap(index) if is_exact(key) else index


def train_index(key: str, metric: str, sample: np.ndarray, seed: int) -> Any:
    """*Worker.* An empty index with trained quantizers.

    Args:
        key: Faiss factory key.
        metric: `ip` or `l2`.
        sample: float32 (m, d).
        seed: of the k-means start.
    """
    faiss = load_faiss()
    index = new_index(key, sample.shape[1], metric)
    if is_exact(key):
        return index
    clustering = faiss.extract_index_ivf(index).cp
    clustering.seed, clustering.niter = seed + 1, ITERATIONS
    clustering.max_points_per_centroid = 10 * ROWS_PER_LIST  # never subsample what was sampled already
    clustering.min_points_per_centroid = 1  # no warning on stderr; the plan has decided
    index.train(sample)
    return index
