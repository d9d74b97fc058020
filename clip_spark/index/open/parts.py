"""*Worker.* All parts of an index, opened memory-mapped and searched as one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from clip_spark.errors import DatasetError
from clip_spark.index.build.choose_key import SCANNED_WHOLE
from clip_spark.index.files.faiss_library import inverted_of, load_faiss, start_no_threads
from clip_spark.index.files.layout import Effort, IndexFile, IndexInfo, SearchSettings
from clip_spark.index.files.local_copy import ADVICE, open_local
from clip_spark.index.files.shapes import is_graph, reach
from clip_spark.index.open.effort import choose_effort, deeper
from clip_spark.index.open.inverted_lists import InvertedLists, list_parameters
from clip_spark.index.open.listed_parts import ListedParts, ListedVectors
from clip_spark.index.open.merge import merge
from clip_spark.index.open.piece_vectors import open_vectors
from clip_spark.index.open.removals import NOTHING, Removals, Removed
from clip_spark.index.open.selection import Selection
from clip_spark.index.open.vectors import PartVectors, VectorStore

MISSING = -1
"""What Faiss returns in place of a hit when it finds fewer than k."""
MORE_LISTS = 4
"""So many times the lists are looked into where too few hits were found, again and again until there are enough."""


class PartSet:
    """Open parts; safe to search from several threads, for no search changes anything."""

    def __init__(
        self,
        indexes: Sequence[Any],
        info: IndexInfo,
        store: VectorStore | None = None,
        removals: Removals | None = None,
        listed: ListedParts | None = None,
    ) -> None:
        self.indexes, self.metric, self.store = list(indexes), info.metric, store
        self.rows = info.rows
        self._listed = listed
        from_parts = ListedVectors(self.indexes, listed) if listed else PartVectors(self.indexes, self.rows)
        self.vectors = store or from_parts
        self._removals = removals
        in_lists = bool(self.indexes) and inverted_of(self.indexes[0]) is not None
        self._lists = InvertedLists(self.indexes, listed) if in_lists else None
        # Not of methods: a cache in a circle with its owner would keep all files open until a garbage collection, and
        # a Spark worker freezes what it holds.
        self._without = lru_cache(8)(partial(_subtract, self.rows))
        self._unfiltered = lru_cache(8)(partial(_parameters, self.indexes))
        self._efforts = lru_cache(64)(partial(choose_effort, info.efforts, info.settings))
        self._reach = reach(self.indexes[0]) if self.indexes else 0

    @property
    def in_pieces(self) -> bool:
        """Whether only the lists that searches look into are fetched."""
        return self._listed is not None

    @property
    def live_rows(self) -> int:
        """Vectors that are not removed now."""
        return self.rows - (len(self._removals.now().positions) if self._removals is not None else 0)

    def allowed(self, selection: Selection | None) -> Selection | None:
        """A selection minus what is removed now; None means everything."""
        removed = self._removals.now() if self._removals is not None else NOTHING
        return self._without(selection, removed) if len(removed.positions) else selection

    def refresh(self) -> None:
        """Look now for what was taken down, as opening the index would."""
        if self._removals is not None:
            self._removals.refresh()

    @property
    def outdated(self) -> str:
        """Why it is not known what was taken down meanwhile; empty where it is."""
        return self._removals.outdated if self._removals is not None else ""

    def close(self) -> None:
        """Let go of all files; no search is possible any more."""
        if self._removals is not None:
            self._removals.close()
        if self.store is not None:
            self.store.close()
        self.indexes.clear()
        self._lists = None
        self._unfiltered.cache_clear()

    def search(
        self,
        queries: np.ndarray,
        k: int,
        settings: SearchSettings | None = None,
        selection: Selection | None = None,
        fill: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest vectors of all parts.

        Args:
            queries: float32 (n, d), rows of length 1.
            k: most hits per query.
            settings: instead of those that the index has for k hits.
            selection: limits the positions; what is removed is left out in any case.
            fill: look into more lists until there are k hits; not where settings are measured.

        Returns:
            scores float32 (n, m) best first (cosine, whatever the metric), positions int64 (n, m), MISSING where there
            is no hit (such columns come last); m = min(k, rows).
        """
        selection = self.allowed(selection)
        k = min(k, self.rows if selection is None else selection.count)
        queries = np.ascontiguousarray(queries, np.float32)
        if k == 0 or len(queries) == 0:
            return np.zeros((len(queries), k), np.float32), np.full((len(queries), k), MISSING, np.int64)
        if selection is not None and selection.count <= SCANNED_WHOLE and is_graph(self.indexes[0]):
            return self._compared(queries, k, selection)
        settings = settings or self._effort(k, selection).settings
        look = self._filled if fill else self._rescored
        return look(queries, k, settings, None if selection is None else selection.selector)

    def _compared(self, queries: np.ndarray, k: int, selection: Selection) -> tuple[np.ndarray, np.ndarray]:
        """Few rows of a graph, one by one: its edges lead through all the others."""
        wanted = np.flatnonzero(selection.mask)
        faiss = load_faiss()
        scores, rows = faiss.knn(queries, self.vectors.take(wanted), k, metric=faiss.METRIC_INNER_PRODUCT)
        return merge([(scores, wanted[rows])], k)

    def cosines(self, scores: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """*Pure.* The scores as they are: `RankedParts` has others."""
        return scores

    def ranked(self, cosines: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """*Pure.* The inverse of `cosines`."""
        return cosines

    def effort(self, k: int, selection: Selection | None = None) -> Effort:
        """What a search for k hits does, and the recall to expect: 1 where it is exact, NaN where it is not known."""
        return self._effort(k, self.allowed(selection))

    def _effort(self, k: int, allowed: Selection | None) -> Effort:
        return self._efforts(k, self.rows, None if allowed is None else allowed.count)

    def _filled(
        self, queries: np.ndarray, k: int, settings: SearchSettings, selector: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """k hits for each query, for there are so many: queries that found fewer look into more lists."""
        scores, positions = self._rescored(queries, k, settings, selector)
        while settings.nprobe < self._reach and (short := positions[:, -1] == MISSING).any():
            settings = deeper(settings, MORE_LISTS)
            scores[short], positions[short] = self._rescored(queries[short], k, settings, selector)
        return scores, positions

    def _rescored(
        self, queries: np.ndarray, k: int, settings: SearchSettings, selector: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compressed parts give more candidates than hits; their vectors decide."""
        if self.store is None or not settings.rerank:
            return self._search_parts(queries, k, settings, selector)
        _, positions = self._search_parts(queries, min(self.rows, k * settings.rerank), settings, selector)
        return merge([(self.store.rescore(queries, positions), positions)], k)

    def _search_parts(
        self, queries: np.ndarray, k: int, settings: SearchSettings, selector: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        if self._lists is None:
            chosen = self._unfiltered(settings) if selector is None else _parameters(self.indexes, settings, selector)
            found = [index.search(queries, k, params=one) for index, one in zip(self.indexes, chosen, strict=True)]
        else:
            found = self._lists.search(queries, k, settings, selector)
        return merge([self._as_cosines(*part) for part in found], k)

    def _as_cosines(self, scores: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.metric == "l2":  # of unit vectors: |a - b|^2 = 2 - 2 cos
            scores = 1.0 - scores / 2.0
        if positions[:, -1].min() == MISSING:  # they come last
            scores[positions == MISSING] = -np.inf
        return scores, positions


def _subtract(rows: int, selection: Selection | None, removed: Removed) -> Selection:
    return (selection or Selection.everything(rows)).without(removed.positions)


def _parameters(indexes: Sequence[Any], settings: SearchSettings, selector: Any = None) -> list[Any]:
    """*Worker.* One for each part; searches only read them, so threads may share them."""
    return [parameters(index, settings, selector) for index in indexes]


def parameters(index: Any, settings: SearchSettings, selector: Any) -> Any:
    """*Worker.* Settings as Faiss takes them per call; nothing is set on the index, which other threads share."""
    faiss = load_faiss()
    if isinstance(index, faiss.IndexIDMap):
        return parameters(faiss.downcast_index(index.index), settings, selector)
    if isinstance(index, faiss.IndexPreTransform):
        inner = parameters(faiss.downcast_index(index.index), settings, selector)
        return faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexIVF):
        return list_parameters(index, settings, selector)
    chosen = {} if selector is None else {"sel": selector}
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=max(1, min(settings.nprobe, index.ntotal)), **chosen)
    return faiss.SearchParameters(**chosen) if chosen else None


def open_parts(
    uri: str, info: IndexInfo, removals: Removals | None = None, listed: ListedParts | None = None
) -> PartSet:
    """*Worker.* Open all parts of an index, memory-mapped.

    Args:
        uri: folder of the index.
        info: of its manifest.
        removals: records never to be returned.
        listed: where only what searches need is fetched; None fetches each part before it is opened.

    Raises:
        DatasetError: a part is missing, cut short, or not one of this index.
    """
    store = open_vectors(uri, info.vectors, info.dim, listed.pieces if listed else None) if info.vectors else None
    if listed is None:
        return PartSet([open_part(uri, part) for part in info.parts], info, store, removals)
    opened = [_open_part(part.rows, file.path) for file, part in zip(listed.files, info.parts, strict=True)]
    return PartSet(opened, info, store, removals, listed)


def open_part(index_uri: str, part: IndexFile) -> Any:
    """*Worker.* Open one part; its hash is compared when it is fetched, or by `verify_files`."""
    return open_local(index_uri, part, partial(_open_part, part.rows))


def _open_part(rows: int, path: str) -> Any:
    faiss = load_faiss()
    try:
        index = faiss.read_index(path, faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    except RuntimeError as error:
        raise DatasetError(f"'{path}' is not a Faiss index any more; {ADVICE}.") from error
    if index.ntotal != rows:
        raise DatasetError(f"'{path}' holds {index.ntotal} vectors, its index says {rows}; {ADVICE}.")
    start_no_threads(inverted_of(index))
    return index
