"""*Worker.* Quantizers, trained on a random sample over all shards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip_spark.errors import SpecError
from clip_spark.index.build.choose_key import is_exact, lists_of
from clip_spark.index.files.faiss_library import load_faiss

ROWS_PER_LIST = 64
"""Training vectors per list; Faiss wants 39 to 256, and recall at a given effort hardly grows beyond this."""
LEAST_TRAIN_ROWS = 10_000
ITERATIONS = 10
OPQ_ITERATIONS, OPQ_ROWS = 8, 32_768


@dataclass(frozen=True)
class TrainRecipe:
    """What a training task must know beside the sample; the seed is that of the k-means start."""

    key: str
    metric: str
    seed: int


def train_rows(key: str, rows: int, dim: int, memory: int) -> int:
    """*Pure.* How many vectors to train on: enough for the key, in at most `memory` bytes."""
    if is_exact(key):
        return 0
    wanted = max(LEAST_TRAIN_ROWS, ROWS_PER_LIST * lists_of(key))
    return min(rows, wanted, memory // (4 * dim))


def draw_positions(rows: int, train: int, test: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """*Pure.* Random positions to train on and to test with, each sorted int64, the same for the same seed.

    They do not overlap, except where nothing is trained on; of few rows at most a tenth are held out.
    """
    test = min(test, max(1, rows // 10)) if train else min(test, rows)
    chosen = np.random.default_rng(seed).choice(rows, size=min(train + test, rows), replace=False).astype(np.int64)
    return np.sort(chosen[test:]), np.sort(chosen[:test])


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
    """*Worker.* An empty index with trained quantizers; uses as many threads as Faiss was told to.

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
    _shorten_compression_training(index)
    with _parallel_assignment(faiss.extract_index_ivf(index)):
        index.train(sample)
    return index


@contextmanager
def _parallel_assignment(lists: Any) -> Iterator[None]:
    """Let k-means compare the sample with its centroids on all threads.

    That is nearly all of its work, and matrix products of the BLAS in Faiss's wheels run on one thread. Replicas of the
    centroids get a share of the sample each: the same centroids, 1.8 times as fast on two cores.
    """
    faiss = load_faiss()
    replicas = faiss.IndexReplicas(lists.d, True)
    copies = [faiss.IndexFlat(lists.d, lists.metric_type) for _ in range(faiss.omp_get_max_threads())]
    for copy in copies:
        replicas.addIndex(copy)
    lists.clustering_index = replicas
    try:
        yield
    finally:
        lists.clustering_index = None


def _shorten_compression_training(index: Any) -> None:
    """Fewer rounds for rotation and codes: their last ones buy little, and candidates are compared exactly anyway."""
    faiss = load_faiss()
    if isinstance(index, faiss.IndexPreTransform):
        rotation = faiss.downcast_VectorTransform(index.chain.at(0))
        if isinstance(rotation, faiss.OPQMatrix):
            rotation.niter, rotation.max_train_points = OPQ_ITERATIONS, OPQ_ROWS
    inner = faiss.downcast_index(faiss.extract_index_ivf(index))
    if isinstance(inner, faiss.IndexIVFPQ):
        inner.pq.cp.niter = ITERATIONS
        # The factory turns it on. It reorders codes for a Hamming filter that nobody here searches with, by simulated
        # annealing: 26 of 28 CPU seconds for PQ8x8.
        inner.do_polysemous_training = False
