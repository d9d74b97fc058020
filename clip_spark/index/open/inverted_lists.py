"""*Worker.* The inverted lists of all parts, searched as one: which to look into is found once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import lru_cache, partial
from typing import Any

import numpy as np

from clip_spark.index.files.faiss_library import inverted_of, load_faiss, search_preassigned, transformed
from clip_spark.index.files.layout import SearchSettings
from clip_spark.index.open.listed_parts import ListedParts
from clip_spark.index.open.side_by_side import side_by_side, thread_count

QUERIES_PER_THREAD = 8
"""Fewer are searched sooner than a thread for them starts."""

Found = tuple[np.ndarray, np.ndarray]
"""Scores float32 (n, k) as Faiss has them, and positions int64 (n, k)."""


class InvertedLists:
    """Parts that share one coarse quantizer; safe to search from several threads."""

    def __init__(self, indexes: Sequence[Any], listed: ListedParts | None = None) -> None:
        self._first, self._listed = indexes[0], listed
        self._parts = [inverted_of(index) for index in indexes]
        self._unfiltered = lru_cache(8)(partial(_all_parameters, self._parts))  # no circle: see PartSet

    def search(self, queries: np.ndarray, k: int, settings: SearchSettings, selector: Any = None) -> list[Found]:
        """The k nearest of each part.

        Queries are divided among threads here, for Faiss divides a search only where it finds the lists itself, once
        for each part. Neighbours among the queries look into the same lists, which are then still in the cache.

        Args:
            queries: float32 (n, d), contiguous.
            k: hits per query and part.
            settings: how many lists.
            selector: of Faiss; None allows everything.
        """
        chosen = self._unfiltered(settings) if selector is None else _all_parameters(self._parts, settings, selector)
        queries = transformed(self._first, queries)
        coarse = self._parts[0].quantizer
        look = partial(_look, self._parts, chosen, k)
        threads = min(thread_count(), len(queries) // QUERIES_PER_THREAD)
        with nullcontext() if self._listed is None else self._listed.pieces.reading():
            nearness, lists = coarse.search(queries, chosen[0].nprobe, params=chosen[0].quantizer_params)
            if self._listed is not None:
                self._listed.fill(lists)
            return look(queries, nearness, lists) if threads < 2 else _divided(look, threads, queries, nearness, lists)


def list_parameters(lists: Any, settings: SearchSettings, selector: Any = None) -> Any:
    """*Worker.* Settings of one part's lists as Faiss takes them per call."""
    faiss = load_faiss()
    chosen = {} if selector is None else {"sel": selector}
    if settings.ef:
        chosen["quantizer_params"] = faiss.SearchParametersHNSW(efSearch=min(settings.ef, lists.nlist))
    return faiss.SearchParametersIVF(nprobe=min(settings.nprobe, lists.nlist), **chosen)


def _all_parameters(parts: Sequence[Any], settings: SearchSettings, selector: Any = None) -> list[Any]:
    """*Worker.* One for each part; searches only read them, so threads may share them."""
    return [list_parameters(lists, settings, selector) for lists in parts]


def _look(
    parts: Sequence[Any], chosen: Sequence[Any], k: int, queries: np.ndarray, nearness: np.ndarray, lists: np.ndarray
) -> list[Found]:
    """*Worker.* Search the lists of each part that were found for each query."""
    return [
        search_preassigned(part, queries, k, lists, nearness, each) for part, each in zip(parts, chosen, strict=True)
    ]


def _divided(look: Any, threads: int, queries: np.ndarray, nearness: np.ndarray, lists: np.ndarray) -> list[Found]:
    """*Worker.* The same by several threads, each with queries that lie near each other."""
    order = np.argsort(lists[:, 0], kind="stable")
    shares = np.array_split(order, threads)
    found = side_by_side(lambda mine: look(queries[mine], nearness[mine], lists[mine]), shares)
    back = np.argsort(order)
    return [
        (np.concatenate([scores for scores, _ in part])[back], np.concatenate([rows for _, rows in part])[back])
        for part in zip(*found, strict=True)
    ]
