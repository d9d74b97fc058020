"""*Worker.* The nearest anchors of vectors, found by Faiss so that neither batches nor threads change a bit.

Faiss takes another way for many queries than for few (BLAS), whose last bits differ, and a map is sensitive to them.
Its inverted lists are scanned in one way only, and `_one_way` makes it choose the lists in one way too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from clip_spark.index.files.faiss_library import load_faiss

ROWS_OF_ONE_LIST = 2048
"""So few are scanned completely."""
PROBES = 8
"""Lists that placing looks into; measured to be enough for places."""
GRAPH_PROBES = 24
"""Lists for the graph of a fit, whose neighbours reach farther."""
TRAINING = 64
"""Vectors of a list that decide its centre."""


def build_lists(vectors: np.ndarray, seed: int) -> Any:
    """*Worker.* An inverted file (inner product) of unit vectors, float32 (n, d); their numbers are the rows."""
    faiss = load_faiss()
    count, dim = vectors.shape
    lists = 1 if count <= ROWS_OF_ONE_LIST else int(count**0.5)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.max_points_per_centroid, index.cp.niter = seed + 1, TRAINING, 10
    index.cp.min_points_per_centroid = 1
    index.nprobe = min(PROBES, lists)
    with _one_way():
        index.train(vectors)
        index.add(vectors)
    return index


def nearest(index: Any, queries: np.ndarray, k: int, probes: int = PROBES) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* Cosines (float32 (m, k)) and numbers (int64 (m, k)) of the nearest anchors; -1 where lists had none."""
    faiss = load_faiss()
    with _one_way():
        how = faiss.SearchParametersIVF(nprobe=min(probes, index.nlist))
        return index.search(np.ascontiguousarray(queries, np.float32), k, params=how)


def graph(index: Any, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* The k nearest other anchors of each anchor: cosines float32 (n, k), numbers int64 (n, k)."""
    scores, numbers = nearest(index, vectors, k + 1, GRAPH_PROBES)
    if (numbers < 0).any():  # lists of a few hundred vectors may not hold k neighbours
        scores, numbers = nearest(index, vectors, k + 1, index.nlist)
    return without_self(scores, numbers)


def without_self(scores: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """*Pure.* Leaves each row's own number out, or the last where equal vectors pushed it out."""
    own = numbers == np.arange(len(numbers))[:, None]
    own[~own.any(axis=1), -1] = True
    shape = (len(numbers), numbers.shape[1] - 1)
    return scores[~own].reshape(shape), numbers[~own].reshape(shape)


@contextmanager
def _one_way() -> Iterator[None]:
    """*Worker.* While this lasts, Faiss compares vectors one by one, however many there are."""
    settings = load_faiss().cvar
    before = settings.distance_compute_blas_threshold
    settings.distance_compute_blas_threshold = 1 << 30
    try:
        yield
    finally:
        settings.distance_compute_blas_threshold = before
