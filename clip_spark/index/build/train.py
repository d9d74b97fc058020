"""*Worker.* Quantizers, trained on a random sample over all shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from clip_spark.errors import SpecError
from clip_spark.index.files.faiss_library import inverted_of, load_faiss
from clip_spark.index.files.keys import is_exact, lists_of
from clip_spark.index.files.needed_faiss import lacking
from clip_spark.index.files.shapes import transforms_of

ROWS_PER_LIST = 64
"""Training vectors per list; Faiss wants 39 to 256, and recall at a given effort hardly grows beyond this."""
LEAST_TRAIN_ROWS = 10_000
STAGES = ((16, 5), (32, 3), (10 * ROWS_PER_LIST, 4))
"""Training vectors per list, and rounds of k-means with so many; the last with all that were sampled: two thirds of the
products of ten such rounds, and within 0.005 of their recall where two last rounds lose 0.015 (docs/index.md)."""
ITERATIONS = 10
OPQ_ITERATIONS, OPQ_ROWS = 8, 32_768
QUERY_BITS = 4
"""Bits per number of a query that RaBitQ codes are compared with: Faiss's default from 1.15 on. Before, it was the
float32 number itself, which takes a multiple of the time, and finds the same candidates."""


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
        SpecError: Faiss does not know the key, or the one here is too old for it.
    """
    if lacks := lacking(key):
        raise SpecError(f"--index-key '{key}' {lacks}; install that wherever it is built and opened.")
    faiss = load_faiss()
    kind = faiss.METRIC_INNER_PRODUCT if metric == "ip" else faiss.METRIC_L2
    try:
        index = faiss.index_factory(dim, key, kind)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise SpecError(f"--index-key '{key}' is not one that Faiss builds for {dim} numbers ({reason}).") from error
    inner = inverted_of(index)
    if hasattr(inner, "rabitq"):
        inner.qb = QUERY_BITS
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
    _shorten_compression_training(index)
    _find_centroids(faiss.extract_index_ivf(index), _rotated(index, sample), seed)
    index.train(sample)  # what is trained by now stays as it is
    return index


def _rotated(index: Any, sample: np.ndarray) -> np.ndarray:
    """*Worker.* The sample as the lists will see it, float32 (m, d'); trains what comes before them."""
    for transform in transforms_of(index):
        if not transform.is_trained:
            transform.train(sample)
        sample = transform.apply(sample)
    return sample


def _find_centroids(lists: Any, sample: np.ndarray, seed: int) -> None:
    """*Worker.* k-means for the lists: its first rounds, which bring centroids near to where they will be, on few
    vectors.

    Nearly all of its work is to compare vectors with centroids, and matrix products of the BLAS in Faiss's wheels run
    on one thread. Replicas of the centroids get a share of the vectors each: the same centroids, 1.8 times as fast on
    two cores.
    """
    faiss = load_faiss()
    replicas = faiss.IndexReplicas(lists.d, True)
    copies = [faiss.IndexFlat(lists.d, lists.metric_type) for _ in range(faiss.omp_get_max_threads())]
    for copy in copies:
        replicas.addIndex(copy)
    parameters = lists.cp
    parameters.seed = seed + 1
    parameters.min_points_per_centroid = 1  # no warning on stderr; the plan has decided
    centroids = np.zeros(0, np.float32)
    for rows_per_list, iterations in STAGES:
        parameters.niter, parameters.max_points_per_centroid = iterations, rows_per_list
        clustering = faiss.Clustering(lists.d, lists.nlist, parameters)
        faiss.copy_array_to_vector(centroids, clustering.centroids)
        clustering.train(sample, replicas)
        centroids = faiss.vector_to_array(clustering.centroids)
    lists.quantizer.add(centroids.reshape(lists.nlist, lists.d))


def _shorten_compression_training(index: Any) -> None:
    """Fewer rounds for rotation and codes: their last ones buy little, and candidates are compared exactly anyway."""
    faiss = load_faiss()
    for rotation in transforms_of(index)[:1]:
        if isinstance(rotation, faiss.OPQMatrix):
            rotation.niter, rotation.max_train_points = OPQ_ITERATIONS, OPQ_ROWS
    inner = faiss.downcast_index(faiss.extract_index_ivf(index))
    if isinstance(inner, faiss.IndexIVFPQ):
        inner.pq.cp.niter = ITERATIONS
        # The factory turns it on. It reorders codes for a Hamming filter that nobody here searches with, by simulated
        # annealing: 26 of 28 CPU seconds for PQ8x8.
        inner.do_polysemous_training = False
