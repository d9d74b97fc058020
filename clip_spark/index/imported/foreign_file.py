"""*Worker.* A Faiss file that somebody else has made, read in a child process: what is damaged may kill that, not us.

Faiss checks little of what it reads: sizes in a damaged file lead out of memory. The child has a limit of memory and of
time; whatever becomes of it is one sentence here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from clip_spark.embed.imported.rows import BLOCK_ROWS
from clip_spark.embed.imported.sources import Source
from clip_spark.errors import InputError, Rejected
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.imported.as_it_is import Served, as_it_is
from clip_spark.index.imported.look import Look, look_at
from clip_spark.runtime.child_process import Apart, Limits
from clip_spark.storage import FileInfo, is_local
from clip_spark.storage.local_cache import fetched

CHILD_BYTES, FILE_TIMES = 6 << 30, 3
"""Memory of the child: so much, and so many times the file."""
WHERE = re.compile(r"^Error in .* at \S+:\d+: ")
"""What Faiss says of its own source before it says what is wrong."""
READ_SECONDS, SECONDS_PER_BYTE = 600, 1e-7


AS_IT_IS = "as it is"
Asked = tuple[str, tuple[int, int] | str | None]
"""Path of a file; None for a look, the vectors of ids from, to, or AS_IT_IS for what a server must know of it."""
Child = Apart[Asked, Any]
_children: dict[str, Child] = {}
"""Of this process: the one that has the file open, for all shards; it ends with us."""


def answer(asked: Asked) -> Look | Served | np.ndarray:
    """*Worker.* In the child: a look at the file, vectors float32 (n, d), or what a server must know."""
    path, ids = asked
    changed = os.stat(path).st_mtime_ns
    if ids == AS_IT_IS:
        return as_it_is(_read(path, changed), path)
    if not isinstance(ids, tuple):
        return look_at(_read(path, changed))
    index, by_id = _opened(path, changed)
    found = by_id(*ids)
    if found.shape != (ids[1] - ids[0], index.d):  # the parts of a damaged file may differ in what they say
        raise ValueError(f"it gives vectors of shape {found.shape} where {(ids[1] - ids[0], index.d)} was due")
    return found


@lru_cache(maxsize=1)
def _opened(path: str, changed: int) -> tuple[Any, Callable[[int, int], np.ndarray]]:
    index = _read(path, changed)
    return index, vectors_by_id(index)


@lru_cache(maxsize=1)
def _read(path: str, changed: int) -> Any:
    faiss = load_faiss()
    faiss.omp_set_num_threads(1)
    return faiss.read_index(path, faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)


def vectors_by_id(index: Any) -> Callable[[int, int], np.ndarray]:
    """*Worker.* A function: ids from, to -> their vectors, float32 (n, d).

    Raises:
        ValueError: the ids are not 0 ... n - 1, each once, or vectors cannot be taken out.
    """
    faiss = load_faiss()
    if isinstance(index, faiss.IndexIDMap):
        ids = faiss.vector_to_array(index.id_map)
        order = np.argsort(ids, kind="stable")
        check_ids(ids[order], index.ntotal)
        inner = faiss.downcast_index(index.index)
        return lambda start, stop: inner.reconstruct_batch(order[start:stop].astype(np.int64))
    if (lists := faiss.try_extract_index_ivf(index)) is not None:
        check_ids(np.sort(_ids_of(lists.invlists, index.ntotal)), index.ntotal)
        lists.make_direct_map()
    return lambda start, stop: index.reconstruct_n(start, stop - start)


def _ids_of(lists: Any, rows: int) -> np.ndarray:
    faiss = load_faiss()
    sizes = [lists.list_size(number) for number in range(lists.nlist)]
    if sum(sizes) != rows:
        raise ValueError(f"its lists hold {sum(sizes):,} vectors, it says {rows:,}")
    found = [np.empty(0, np.int64)]
    for number, size in enumerate(sizes):
        if size:
            found.append(faiss.rev_swig_ptr(lists.get_ids(number), size).copy())
    return np.concatenate(found)


def check_ids(ids: np.ndarray, rows: int) -> None:
    """*Pure.* Raise ValueError unless sorted ids are 0 ... rows - 1, each once."""
    if len(ids) != rows or not np.array_equal(ids, np.arange(rows)):
        raise ValueError(f"its ids are not 0 to {rows - 1:,}, each once")


def limits(size: int) -> Limits:
    """*Pure.* What the child may take for a file of so many bytes."""
    return Limits(READ_SECONDS + SECONDS_PER_BYTE * size, CHILD_BYTES + FILE_TIMES * size)


def ask(file: FileInfo, ids: tuple[int, int] | str | None = None, name: str = "") -> Any:
    """*Worker.* A `Look`, the vectors of some ids, or a `Served`, out of this process's child that has the file open.

    Args:
        file: the index.
        ids: from, to; or AS_IT_IS.
        name: of the file, for messages, where it is a copy.

    Raises:
        InputError: the file is no usable index.
    """
    path = file.uri if is_local(file.uri) else fetched(file)
    with _as_mistakes(name or file.uri):
        found = _child_of(path, file.bytes)((path, ids))
    if isinstance(found, Look) and (found.rows < 0 or found.dim <= 0):
        raise InputError(f"'{file.uri}' is damaged: it says that it holds {found.rows:,} vectors of {found.dim}.")
    return found


def _child_of(path: str, size: int) -> Child:
    if path not in _children:
        while _children:
            _children.popitem()[1].__exit__()
        _children[path] = Apart(answer, limits(size))
    return _children[path]


@contextmanager
def faiss_vectors(source: Source) -> Iterator[Iterator[np.ndarray]]:
    """*Worker.* The vectors of some ids of a Faiss file, in blocks; raises InputError where they cannot be read."""
    file = FileInfo(source.uri, source.bytes, source.stamp)
    first, last = source.first + source.start, source.first + source.stop
    yield (ask(file, (start, min(last, start + BLOCK_ROWS))) for start in range(first, last, BLOCK_ROWS))


@contextmanager
def _as_mistakes(uri: str) -> Iterator[None]:
    """Whatever reading does is the file's fault, and said in one sentence."""
    try:
        yield
    except Rejected as error:
        raise InputError(f"'{uri}' is no usable Faiss index: reading it {error.reason}.") from error
    except (RuntimeError, ValueError, AttributeError, MemoryError, AssertionError, TypeError, OverflowError) as error:
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"'{uri}' is no usable Faiss index: {WHERE.sub('', why[-1])[-200:]}.") from error
