"""*Worker.* How many lists a query must look into for its true hits: known from the lists that these lie in.

A search compares all that its lists hold. So of the true hits it finds those whose list is among the first `nprobe` of
the query: exactly those where vectors are kept as they are, and no others where they are compressed. One comparison of
queries and centroids tells what searches with any `nprobe` would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clip_spark.index.files.faiss_library import inverted_of, load_faiss, transformed
from clip_spark.index.open.vectors import ids_by_list

HELD = 1 << 26
"""Scores of queries and centroids that are held at once."""
NOWHERE = -1
"""In place of the list of a position that lies in none."""


def ranks_of_true(indexes: Sequence[Any], rows: int, queries: np.ndarray, true: np.ndarray) -> np.ndarray:
    """*Worker.* The first `nprobe` that leads to each true hit.

    Args:
        indexes: parts with inverted lists, which share one coarse quantizer.
        rows: positions of the index.
        queries: float32 (n, d).
        true: int64 (n, m) positions; below 0 means no hit.

    Returns:
        int32 (n, m), from 1 on; all lists and one more for what lies in none.
    """
    wanted, at = np.unique(np.maximum(true, 0), return_inverse=True)
    lists = lists_of_positions(indexes, rows, wanted)[at.reshape(true.shape)]
    inverted = inverted_of(indexes[0])
    queries = transformed(indexes[0], np.ascontiguousarray(queries, np.float32))
    centroids = inverted.quantizer.reconstruct_n(0, inverted.nlist)
    nearer_by_ip = inverted.quantizer.metric_type == load_faiss().METRIC_INNER_PRODUCT
    offsets = np.float32(0) if nearer_by_ip else np.einsum("ij,ij->i", centroids, centroids) / 2
    ranks = np.empty(true.shape, np.int32)
    step = max(1, HELD // inverted.nlist)
    for first in range(0, len(queries), step):
        scores = queries[first : first + step] @ centroids.T - offsets
        ranks[first : first + step] = ranks_among(scores, lists[first : first + step])
    ranks[lists == NOWHERE] = inverted.nlist + 1
    return ranks


def ranks_among(scores: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """*Pure.* Places, int32 (n, m) from 1 on, of some columns, int (n, m), in rows of scores (n, lists), best first."""
    mine = np.take_along_axis(scores, wanted, axis=1)
    falling = np.sort(-scores, axis=1)
    places = [np.searchsorted(row, -score) for row, score in zip(falling, mine, strict=True)]
    return np.asarray(np.stack(places) + 1, np.int32) if places else np.empty(wanted.shape, np.int32)


def lists_of_positions(indexes: Sequence[Any], rows: int, wanted: np.ndarray) -> np.ndarray:
    """*Worker.* The list of each position, int32 (m,); NOWHERE for one that was erased.

    Args:
        indexes: parts with inverted lists.
        rows: positions of the index.
        wanted: int64 (m,), sorted, each once.
    """
    mask, lists = np.zeros(rows, bool), np.full(len(wanted), NOWHERE, np.int32)
    mask[wanted] = True
    for index in indexes:
        for number, ids in enumerate(ids_by_list(index)):
            lists[np.searchsorted(wanted, ids[mask[ids]])] = number
    return lists
