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
MOST_FOUND = 4_000_000
"""Neighbours that lists have found and that wait to be merged; they take 12 bytes each."""


def build_lists(vectors: np.ndarray, seed: int) -> Any:
    """*Worker.* An inverted file (inner product) of unit vectors, float32 (n, d); their numbers are the rows."""
    faiss = load_faiss()
    count, dim = vectors.shape
    lists = 1 if count <= ROWS_OF_ONE_LIST else int(count**0.5)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.max_points_per_centroid, index.cp.niter = seed + 1, TRAINING, 10
    index.cp.min_points_per_centroid = 1
    with _one_way():
        index.train(vectors)
        index.add(vectors)
    return index


def nearest(index: Any, queries: np.ndarray, k: int, probes: int = PROBES) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* Cosines (float32 (m, k)) and numbers (int64 (m, k)) of the nearest anchors; -1 where lists had none."""
    queries, probes = np.ascontiguousarray(queries, np.float32), min(probes, index.nlist)
    scores, numbers = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    rows = max(1, MOST_FOUND // (probes * k))
    for start in range(0, len(queries), rows):
        part = slice(start, start + rows)
        scores[part], numbers[part] = _best_of_lists(index, queries[part], k, probes)
    return scores, numbers


def _best_of_lists(index: Any, queries: np.ndarray, k: int, probes: int) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* As `nearest`, list by list: queries of one list scan it while the processor's cache has it.

    That takes half the time of a search query by query, which reads 50,000 vectors from memory again and again.
    """
    index.nprobe = 1  # of each scan
    scores = np.empty((len(queries), probes, k), np.float32)
    numbers = np.empty((len(queries), probes, k), np.int64)
    with _one_way():
        centres, lists = index.quantizer.search(queries, probes)
        order = np.argsort(lists, axis=None, kind="stable")
        for same in np.split(order, np.flatnonzero(np.diff(lists.reshape(-1)[order])) + 1):
            at = np.divmod(same, probes)
            found = index.search_preassigned(queries[at[0]], k, lists[at][:, None], centres[at][:, None])
            scores[at], numbers[at] = found
    flat = scores.reshape(len(queries), -1), numbers.reshape(len(queries), -1)
    best = np.argsort(-flat[0], axis=1, kind="stable")[:, :k]
    return np.take_along_axis(flat[0], best, 1), np.take_along_axis(flat[1], best, 1)


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
