"""*Worker.* Stored vectors by position: float16 files beside compressed parts, else the parts themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from clip_spark.index.files.faiss_library import inverted_of, load_faiss
from clip_spark.index.files.halves import as_float32
from clip_spark.index.files.layout import IndexFile
from clip_spark.index.files.local_copy import open_local
from clip_spark.index.files.shapes import keeps_vectors, transforms_of
from clip_spark.index.open.records import OPEN_FILES, split
from clip_spark.index.open.side_by_side import side_by_side

BLOCK_ROWS = 16_384
RERANK_ROWS = 8192
"""Candidate vectors that a thread holds at once, of one query or of several."""
CACHED_ROWS = 256


class VectorStore:
    """float16 vectors in memory-mapped files; safe to use from several threads."""

    def __init__(self, index_uri: str, files: Sequence[IndexFile], dim: int) -> None:
        self.uri, self.files, self.dim = index_uri, files, dim
        self._starts = np.array([file.start for file in files], np.int64)
        self._open = lru_cache(OPEN_FILES)(partial(_open_file, index_uri, files, dim))  # no circle: see PartSet

    def hold(self) -> None:
        """Map all files now, as many as may be open: then they can be read even after they were deleted."""
        for number in range(min(len(self.files), OPEN_FILES)):
            self._open(number)

    def close(self) -> None:
        """Let go of all files."""
        self._open.cache_clear()

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Vectors at positions (int64, any order), float32 (m, d)."""
        wanted, inverse = np.unique(positions, return_inverse=True)
        out = np.empty((len(wanted), self.dim), np.float32)
        for mine, rows in self._found(wanted):
            out[mine] = as_float32(rows)
        return out[inverse.reshape(-1)]

    def _found(self, positions: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Vectors at sorted positions, file by file: which of the positions, and their vectors as `_read` has them."""
        owner: np.ndarray = np.asarray(np.searchsorted(self._starts, positions, side="right")) - 1
        at = 0
        for rows in self._read([(number, rows - self._starts[number]) for number, rows in split(owner, positions)]):
            yield slice(at, at + len(rows)), rows
            at += len(rows)

    def _read(self, wanted: Sequence[tuple[int, np.ndarray]]) -> Iterable[np.ndarray]:
        """Rows of files, (number of the file, int64 (m,)), as float16 (m, d)."""
        return (self._open(number).take(rows, axis=0) for number, rows in wanted)

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """All vectors: (position of the first, float32 (m, d)) with m <= BLOCK_ROWS."""
        for number, file in enumerate(self.files):
            for first in range(0, file.rows, BLOCK_ROWS):
                block = self._block(number, first, min(first + BLOCK_ROWS, file.rows))
                yield file.start + first, as_float32(block)

    def _block(self, number: int, first: int, last: int) -> np.ndarray:
        """Rows of one file that lie together, as float16 (m, d); a view where the file is here."""
        return self._open(number)[first:last]

    def rescore(self, queries: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Cosines of queries and their candidates.

        Args:
            queries: float32 (n, d).
            positions: int64 (n, m); below 0 means no candidate.

        Returns:
            float32 (n, m), -inf where there is no candidate.
        """
        scores = np.full(positions.shape, -np.inf, np.float32)
        rows, columns = np.nonzero(positions >= 0)

        def compare(first: int) -> None:
            row, column = rows[first : first + RERANK_ROWS], columns[first : first + RERANK_ROWS]
            wanted = positions[row, column]
            order = np.argsort(wanted)
            row, column = row[order], column[order]
            for mine, vectors in self._found(wanted[order]):
                scores[row[mine], column[mine]] = _products(vectors, queries, row[mine])

        side_by_side(compare, range(0, len(rows), RERANK_ROWS))
        return scores


def _products(vectors: np.ndarray, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """*Pure.* Inner products of float16 vectors (m, d), each with the query in a row (int64 (m,)), float32 (m,), by one
    thread; what is converted stays in the caches."""
    found = np.empty(len(vectors), np.float32)
    for first in range(0, len(vectors), CACHED_ROWS):
        some = slice(first, first + CACHED_ROWS)
        np.einsum("md,md->m", as_float32(vectors[some]), queries[rows[some]], out=found[some])
    return found


def _open_file(index_uri: str, files: Sequence[IndexFile], dim: int, number: int) -> np.ndarray:
    file = files[number]

    def map_file(path: str) -> np.ndarray:
        mapped = np.memmap(path, np.float16, "r", shape=(file.rows, dim))
        return np.asarray(mapped)  # rows of a memmap are memmaps, and making one takes longer than reading a row

    return open_local(index_uri, file, map_file)


class PartVectors:
    """Vectors out of the parts themselves; the way to each is worked out at first use and takes 8 bytes per vector."""

    def __init__(self, indexes: Sequence[Any], rows: int) -> None:
        self._indexes = indexes
        self._places = lru_cache(1)(partial(_find_places, indexes, rows))

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Vectors at positions (int64, any order), float32 (m, d)."""
        part, number, offset = (array[positions] for array in self._where())
        where = part.astype(np.int64) << 32 | number
        order = np.argsort(where, kind="stable")
        out = np.empty((len(positions), self._indexes[0].d), np.float32)
        for one, rows in split(where[order], order):
            out[rows] = stored_rows(self._indexes[one >> 32], one & 0xFFFFFFFF, offset[rows])
        return out

    def _where(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Part, list and offset of each position."""
        return self._places()

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All vectors: positions int64 (m,) and float32 (m, d) as they lie in the file, m <= BLOCK_ROWS."""
        for index in self._indexes:
            for number, ids in enumerate(ids_by_list(index)):
                for first in range(0, len(ids), BLOCK_ROWS):
                    some = slice(first, first + BLOCK_ROWS)
                    yield ids[some], stored_rows(index, number, np.arange(len(ids))[some])


def _find_places(indexes: Sequence[Any], rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """*Worker.* Part, list and offset of each position, as small integers."""
    part, number, offset = np.zeros(rows, np.int16), *np.zeros((2, rows), np.int32)
    for at, index in enumerate(indexes):
        for which, ids in enumerate(ids_by_list(index)):
            part[ids], number[ids], offset[ids] = at, which, np.arange(len(ids))
    return part, number, offset


def stored_rows(index: Any, number: int, offsets: np.ndarray) -> np.ndarray:
    """*Worker.* Vectors out of one inverted list of a part, float32 (m, d); any list if it has none.

    Where the part keeps vectors as they are, so they come; others as it compares them, divided by their length.
    """
    found = as_compared(index, number, offsets)
    if keeps_vectors(index):
        return found
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return found / np.where(lengths > 0, lengths, 1)


def as_compared(index: Any, number: int, offsets: np.ndarray) -> np.ndarray:
    """*Worker.* The same, of whatever length compression has left them."""
    faiss = load_faiss()
    lists = inverted_of(index)
    if lists is None:
        stored = index.index if isinstance(index, faiss.IndexIDMap) else index
        return np.asarray(stored.reconstruct_batch(offsets.astype(np.int64)))
    found = (
        _whole(lists, number, offsets) if isinstance(lists, faiss.IndexIVFFlat) else _decoded(lists, number, offsets)
    )
    for one in reversed(transforms_of(index)):
        found = one.reverse_transform(found)
    return found


def _whole(lists: Any, number: int, offsets: np.ndarray) -> np.ndarray:
    faiss = load_faiss()
    pointer = lists.invlists.get_codes(number)
    codes = faiss.rev_swig_ptr(pointer, lists.invlists.list_size(number) * lists.invlists.code_size)
    taken = codes.view(np.float32).reshape(-1, lists.d)[offsets]
    lists.invlists.release_codes(number, pointer)
    return taken


def _decoded(lists: Any, number: int, offsets: np.ndarray) -> np.ndarray:
    faiss = load_faiss()
    found = np.empty((len(offsets), lists.d), np.float32)
    for row, offset in zip(found, offsets.tolist(), strict=True):
        lists.reconstruct_from_offset(number, offset, faiss.swig_ptr(row))
    return found


def ids_by_list(index: Any) -> Iterator[np.ndarray]:
    """*Worker.* The ids of each inverted list, int64; all ids at once for an index without lists."""
    faiss = load_faiss()
    inverted = inverted_of(index)
    if inverted is None:
        mapped = isinstance(index, faiss.IndexIDMap)
        yield faiss.vector_to_array(index.id_map) if mapped else np.arange(index.ntotal, dtype=np.int64)
        return
    lists = inverted.invlists
    for number in range(lists.nlist):
        size = lists.list_size(number)
        if size == 0:
            yield np.empty(0, np.int64)
            continue
        pointer = lists.get_ids(number)
        yield faiss.rev_swig_ptr(pointer, size).copy()
        lists.release_ids(number, pointer)
