"""*Worker.* Stored vectors by position: float16 files beside compressed parts, or the parts themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from clip_spark.errors import InputError
from clip_spark.index.cache import local_path
from clip_spark.index.layout import IndexFile
from clip_spark.index.library import load_faiss
from clip_spark.index.records import OPEN_FILES, split

RERANK_BYTES = 64 << 20
"""Candidate vectors held at once."""


class VectorStore:
    """float16 vectors in memory-mapped files; safe to use from several threads."""

    def __init__(self, index_uri: str, files: Sequence[IndexFile], dim: int) -> None:
        self.uri, self.files, self.dim = index_uri, files, dim
        self._starts = np.array([file.start for file in files], np.int64)
        self._open = lru_cache(OPEN_FILES)(self._open_file)

    def _open_file(self, number: int) -> np.ndarray:
        file = self.files[number]
        return np.memmap(local_path(self.uri, file), np.float16, "r", shape=(file.rows, self.dim))

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Vectors at positions (int64, any order), float32 (m, d)."""
        wanted, inverse = np.unique(positions, return_inverse=True)
        out = np.empty((len(wanted), self.dim), np.float32)
        owner = np.searchsorted(self._starts, wanted, side="right") - np.int64(1)
        at = 0
        for number, rows in split(owner, wanted):
            out[at : at + len(rows)] = self._open(number)[rows - self._starts[number]]
            at += len(rows)
        return out[inverse.reshape(-1)]

    def rescore(self, queries: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Cosines of queries and their candidates.

        Args:
            queries: float32 (n, d).
            positions: int64 (n, m); below 0 means no candidate.

        Returns:
            float32 (n, m), -inf where there is no candidate.
        """
        scores = np.full(positions.shape, -np.inf, np.float32)
        step = max(1, RERANK_BYTES // (4 * self.dim * max(1, positions.shape[1])))
        for first in range(0, len(queries), step):
            row, column = np.nonzero(positions[first : first + step] >= 0)
            vectors = self.take(positions[first + row, column])
            scores[first + row, column] = np.einsum("ij,ij->i", queries[first + row], vectors)
        return scores


def vector_in_parts(indexes: Sequence[Any], position: int) -> np.ndarray:
    """*Worker.* The vector at a position out of uncompressed parts, float32 (d,).

    Raises:
        InputError: no part holds it.
    """
    faiss = load_faiss()
    for index in indexes:
        if isinstance(index, faiss.IndexIDMap):
            row = np.flatnonzero(faiss.vector_to_array(index.id_map) == position)
            if len(row):
                return index.index.reconstruct(int(row[0]))
        elif (found := _place_in_lists(index, position)) is not None:
            vector = np.empty(index.d, np.float32)
            faiss.extract_index_ivf(index).reconstruct_from_offset(*found, faiss.swig_ptr(vector))
            return vector
    raise InputError("This record has no vector in the index.")


def _place_in_lists(index: Any, position: int) -> tuple[int, int] | None:
    """(list, offset) of an id; a scan of 8 bytes per vector, far less than a direct map would cost to keep."""
    faiss = load_faiss()
    lists = faiss.extract_index_ivf(index).invlists
    for number in range(lists.nlist):
        size = lists.list_size(number)
        if size:
            pointer = lists.get_ids(number)
            offset = np.flatnonzero(faiss.rev_swig_ptr(pointer, size) == position)
            lists.release_ids(number, pointer)
            if len(offset):
                return number, int(offset[0])
    return None
