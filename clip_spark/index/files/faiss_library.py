"""*Worker.* The one place that imports faiss.

The wheels of faiss and torch bring a copy of the OpenMP runtime each. On Linux both are GNU libgomp and live side by
side, in either order of import, each with threads of its own. On macOS they are LLVM's, which aborts the process when
a second copy starts, unless it is told that this is all right. Search and encoding alternate and never overlap in one
thread, so two pools cost idle threads, not time.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

FEW_QUERIES = 16
"""Below Faiss's threshold for matrix products (20)."""


def load_faiss() -> Any:
    """*Worker.* The faiss module."""
    if sys.platform == "darwin":
        os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")
    import faiss

    return faiss


def has_rabitq() -> bool:
    """*Worker.* Whether Faiss here has RaBitQ codes, of a bit per number: from 1.11 on.

    Those of more bits came with 1.13, which finds other vectors in a file of 1.15 than 1.15 does, without a word: they
    are neither built nor adopted.
    """
    return hasattr(load_faiss(), "IndexIVFRaBitQ")


def search_preassigned(
    index: Any, queries: np.ndarray, k: int, lists: np.ndarray, coarse: np.ndarray, chosen: Any
) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* Search inverted lists that are chosen already.

    Faiss's Python method of this name takes no search parameters; the C++ one behind it does.

    Args:
        index: an IndexIVF.
        queries: float32 (n, d).
        k: hits per query.
        lists: int64 (n, nprobe), numbers of the lists.
        coarse: float32 (n, nprobe), scores of their centroids.
        chosen: SearchParametersIVF of the same nprobe.

    Returns:
        scores float32 (n, k), positions int64 (n, k).
    """
    pointer = load_faiss().swig_ptr
    scores, positions = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    index.search_preassigned_c(
        len(queries), pointer(queries), k, pointer(lists), pointer(coarse), pointer(scores), pointer(positions),
        False, chosen,
    )  # fmt: skip
    return scores, positions


def inverted_of(index: Any) -> Any:
    """*Worker.* The inverted lists of a part; None for a graph, and for one that is searched completely."""
    faiss = load_faiss()
    found = None if isinstance(index, faiss.IndexIDMap) else faiss.try_extract_index_ivf(index)
    return None if found is None else faiss.downcast_index(found)


def start_no_threads(inverted: Any) -> None:
    """*Worker.* Lists that lie in a mapped file are read by the search itself.

    Faiss would start up to 32 threads for each search, which touch the pages of its lists before it does. Where the
    pages are in memory, as nearly always, they are two thirds of the search.
    """
    lists: Any = None if inverted is None else load_faiss().downcast_InvertedLists(inverted.invlists)
    if hasattr(lists, "prefetch_nthread"):
        lists.prefetch_nthread = 0


def transformed(index: Any, queries: np.ndarray) -> np.ndarray:
    """*Worker.* Queries as the inverted lists of a part see them, float32 (n, d'): rotated, where the part rotates."""
    faiss = load_faiss()
    if isinstance(index, faiss.IndexPreTransform):
        for number in range(index.chain.size()):
            queries = _rotated(faiss.downcast_VectorTransform(index.chain.at(number)), queries)
    return queries


def _rotated(transform: Any, queries: np.ndarray) -> np.ndarray:
    """*Worker.* One map of an index applied to float32 (n, d).

    Products of BLAS have its threads wait for each other, for one query too: searches of 13 ms on a machine with much
    other work took 3.5 without any (docs/index.md).
    """
    faiss = load_faiss()
    if len(queries) > FEW_QUERIES or not isinstance(transform, faiss.LinearTransform) or transform.have_bias:
        return np.asarray(transform.apply(queries))
    numbers = faiss.rev_swig_ptr(transform.A.data(), transform.A.size())
    return np.einsum("nd,od->no", queries, numbers.reshape(transform.d_out, transform.d_in))
