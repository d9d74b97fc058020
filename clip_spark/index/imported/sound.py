"""*Worker.* Whether every number of a foreign Faiss index leads to where it should, so that no search leaves the file.

Faiss checks some sizes when it reads, and trusts edges of graphs, numbers of lists and ids. A file that was damaged
there opens, and ends the process at some later query. Called in a child process.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from clip_spark.index.files.faiss_library import inverted_of, load_faiss
from clip_spark.index.files.keys import ID_BYTES, rabitq_bytes
from clip_spark.index.files.shapes import core_of, transforms_of

KINDS = (
    "IndexFlat", "IndexFlatIP", "IndexFlatL2", "IndexScalarQuantizer", "IndexHNSWFlat", "IndexHNSWSQ", "IndexIVFFlat",
    "IndexIVFScalarQuantizer", "IndexIVFPQ", "IndexIVFRaBitQ",
)  # fmt: skip
"""What can be served as it is: it can leave out what was taken down, and its vectors can be read again."""
SAID = "Flat, SQ, HNSW and IVF with Flat, SQ, PQ or RaBitQ can, also behind OPQ or PCA"
EDGES_AT_ONCE = 1 << 24


def check_sound(index: Any, path: str) -> None:
    """*Worker.* Raise ValueError unless an index that was mapped from `path` is whole, and can be served."""
    faiss = load_faiss()
    core, rows = core_of(index), index.ntotal
    name = type(core).__name__
    mapped = isinstance(index, faiss.IndexIDMap)
    if name not in KINDS:
        raise ValueError(f"it is of the kind {name}, which cannot be served as it is ({SAID})")
    _require(rows > 0 and index.d > 0, f"it holds {rows:,} vectors of {index.d}")
    _require(
        index.is_trained and core.is_trained and core.ntotal == rows, "its parts differ in how many vectors they hold"
    )
    _require(core.metric_type == index.metric_type, "its parts differ in their metric")
    if mapped:
        _require(type(faiss.downcast_index(index.index)) is type(core) and "IVF" not in name, "it maps ids of lists")
        _require(index.id_map.size() == rows, f"it maps {index.id_map.size():,} ids to {rows:,} vectors")
    _check_transforms(transforms_of(index), index.d, core.d)
    if isinstance(core, faiss.IndexIVF):
        _check_lists(inverted_of(index), path)
    else:
        _check_core(core)


def _require(good: bool, why: str) -> None:
    if not good:
        raise ValueError(why)


def _check_transforms(chain: list[Any], outside: int, inside: int) -> None:
    faiss = load_faiss()
    at = outside
    for one in chain:
        _require(one.is_trained and one.d_in == at and one.d_out > 0, "its rotations do not fit together")
        at = one.d_out
        if isinstance(one, faiss.LinearTransform):
            fits = one.A.size() == one.d_in * at and (not one.have_bias or one.b.size() == at)
        else:
            fits = isinstance(one, faiss.RemapDimensionsTransform) and one.map.size() == at
            fits = fits and set(faiss.vector_to_array(one.map).tolist()) <= set(range(-1, one.d_in))
        _require(fits, "a rotation of it is damaged, or of a kind that is not known here")
    _require(at == inside, "its rotations do not fit its vectors")


def _check_core(core: Any) -> None:
    """Codes one after the other, or a graph over such."""
    faiss = load_faiss()
    if isinstance(core, faiss.IndexHNSW):
        stored = faiss.downcast_index(core.storage)
        _require(type(stored).__name__ in KINDS[:4], "its graph lies over vectors of an unknown kind")
        _require(stored.ntotal == core.ntotal and stored.d == core.d, "its graph and its vectors differ")
        _check_core(stored)
        _check_graph(core.hnsw, core.ntotal)
        return
    _require(core.codes.size() == core.ntotal * core.code_size, "its vectors are cut short")
    _check_code(core)


def _check_code(core: Any) -> None:
    """Sizes of what says how a vector is kept."""
    if hasattr(core, "pq"):
        pq = core.pq
        fits = (
            pq.d == core.d and pq.M > 0 and pq.M * pq.dsub == pq.d and 0 < pq.nbits <= 16 and pq.ksub == 1 << pq.nbits
        )
        fits = fits and pq.centroids.size() == pq.d * pq.ksub and core.code_size == (pq.nbits * pq.M + 7) // 8
        _require(fits and core.polysemous_ht == 0, "its codebook is damaged")
    elif hasattr(core, "sq"):
        sq = core.sq
        numbers = {sq.QT_8bit: 2 * sq.d, sq.QT_4bit: 2 * sq.d, sq.QT_6bit: 2 * sq.d, sq.QT_fp16: 0}
        numbers |= {sq.QT_8bit_uniform: 2, sq.QT_4bit_uniform: 2}
        fits = sq.d == core.d and core.code_size == sq.code_size == (sq.bits * sq.d + 7) // 8
        _require(fits and numbers.get(sq.qtype) == sq.trained.size(), "its scalar quantizer is damaged")
    elif hasattr(core, "rabitq"):
        fits = core.rabitq.d == core.d and core.rabitq.metric_type == core.metric_type and core.by_residual
        fits = fits and core.code_size == core.rabitq.code_size and 0 <= core.qb <= 8
        _require(fits and core.code_size == rabitq_bytes(core.d), "its RaBitQ codes are damaged, or not of one bit")
    else:
        _require(core.code_size == 4 * core.d, "its vectors are of another length than it says")


def _check_lists(core: Any, path: str) -> None:
    faiss = load_faiss()
    lists, quantizer = faiss.downcast_InvertedLists(core.invlists), faiss.downcast_index(core.quantizer)
    _require(core.nlist > 0 and lists.nlist == core.nlist == quantizer.ntotal, "its lists differ from their centroids")
    _require(quantizer.d == core.d and quantizer.metric_type == core.metric_type, "its centroids are of another length")
    _require(type(quantizer).__name__ in (*KINDS[:3], "IndexHNSWFlat"), "its centroids are of an unknown kind")
    _check_core(quantizer)
    _check_code(core)
    _require(lists.code_size == core.code_size, "its lists hold codes of another length")
    if not isinstance(lists, faiss.OnDiskInvertedLists) or lists.filename:  # mapped from the file itself: no name
        raise ValueError("its lists lie in another file; write it as one (faiss.write_index of what was read)")
    size, each = os.path.getsize(path), core.code_size + ID_BYTES
    ends = [(one.size, one.offset) for one in (lists.lists.at(number) for number in range(lists.nlist))]
    inside = all(count <= core.ntotal and at + count * each <= size for count, at in ends)
    _require(inside and sum(count for count, _ in ends) == core.ntotal, "its lists do not hold its vectors once each")


def _check_graph(hnsw: Any, rows: int) -> None:
    """Every edge ends at a node that is on the edge's level."""
    faiss = load_faiss()
    levels, offsets = (faiss.vector_to_array(found).astype(np.int64) for found in (hnsw.levels, hnsw.offsets))
    widths = faiss.vector_to_array(hnsw.cum_nneighbor_per_level).astype(np.int64)
    _require(len(levels) == rows and len(offsets) == rows + 1, "its graph has other nodes than vectors")
    _require(
        len(widths) > 1 and widths[0] == 0 and bool((np.diff(widths) >= 0).all()), "its graph has no widths of levels"
    )
    known = bool(levels.min() >= 1) and bool(levels.max() < len(widths))
    _require(known and levels.max() == hnsw.max_level + 1, "the levels of its graph are damaged")
    begins = 0 <= hnsw.entry_point < rows and levels[hnsw.entry_point] == hnsw.max_level + 1
    _require(begins, "its graph begins nowhere")
    whole = offsets[0] == 0 and offsets[-1] == hnsw.neighbors.size()
    _require(bool(whole) and np.array_equal(np.diff(offsets), widths[levels]), "the edges of its graph are cut short")
    edges = faiss.rev_swig_ptr(hnsw.neighbors.data(), hnsw.neighbors.size())
    step = max(1, EDGES_AT_ONCE // max(1, int(widths[-1])))
    for first in range(0, rows, step):
        last = min(rows, first + step)
        some = edges[offsets[first] : offsets[last]]
        within = np.arange(len(some)) - np.repeat(
            offsets[first:last] - offsets[first], np.diff(offsets[first : last + 1])
        )
        level = np.searchsorted(widths, within, side="right") - 1
        there = some >= 0
        _require(bool((some[there] < rows).all()), "an edge of its graph leads to no vector")
        _require(bool((levels[some[there]] > level[there]).all()), "an edge of its graph leads to another level")
