"""*Worker.* Parts opened to be changed: what another tool may have left in them would not follow a change."""

from __future__ import annotations

from typing import Any

import numpy as np

from clip_spark.index.files.faiss_library import inverted_of, load_faiss


def erasable(path: str) -> Any:
    """*Worker.* A part out of which ids can be removed, in memory; the others keep theirs."""
    faiss = load_faiss()
    index = faiss.read_index(path)
    lists = inverted_of(index)
    if lists is not None:
        _forget_places(lists)
        return index
    return index if isinstance(index, faiss.IndexIDMap) else _with_ids(index)


def _forget_places(lists: Any) -> None:
    """The map from ids to places in the lists, which is no longer true when those change."""
    lists.set_direct_map_type(load_faiss().DirectMap.NoMap)


def _with_ids(index: Any) -> Any:
    """Vectors without a map of ids would move up when others go."""
    faiss = load_faiss()
    rows, index.ntotal = index.ntotal, 0  # what is mapped must be empty at first
    mapped = faiss.IndexIDMap(index)
    mapped.ntotal = index.ntotal = rows
    faiss.copy_array_to_vector(np.arange(rows, dtype=np.int64), mapped.id_map)
    return mapped


def emptied(path: str) -> Any:
    """*Worker.* The quantizers of a part without its vectors, which are mapped and never touched."""
    faiss = load_faiss()
    index = faiss.read_index(path, faiss.IO_FLAG_MMAP)
    inner = inverted_of(index)
    _forget_places(inner)
    lists = faiss.ArrayInvertedLists(inner.nlist, inner.code_size)
    inner.replace_invlists(lists, True)
    lists.this.disown()  # the index owns them now
    inner.ntotal = index.ntotal = 0
    return index
