"""*Worker.* Recall against exact search, and the least effort that reaches a goal."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable

import numpy as np

from clip_spark.index.build.choose_key import lists_of
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.files.layout import SearchSettings
from clip_spark.index.open.parts import MISSING, PartSet, merge

RECALL_AT = 10
TEST_QUERIES = 512
ASKED = RECALL_AT + 1
"""One more than counts, for a stored vector finds itself."""
RERANKS = (4, 16, 64)
"""Candidates per hit that are tried in turn for compressed parts."""


def exact_hits(blocks: Iterable[tuple[int, np.ndarray]], queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* The true k best by inner product over streamed vectors.

    Args:
        blocks: (position of the first, float32 (m, d)).
        queries: float32 (n, d).
        k: hits per query.

    Returns:
        scores float32 (n, k), positions int64 (n, k), MISSING where there are fewer than k vectors.
    """
    faiss = load_faiss()
    best = (np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), MISSING, np.int64))
    for first, vectors in blocks:
        scores, rows = faiss.knn(queries, vectors, min(k, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)
        best = merge([best, (scores, rows + first)], k)
    return best


def recall(found: np.ndarray, true: np.ndarray, own: np.ndarray | None = None) -> float:
    """*Pure.* Share of the true RECALL_AT hits that were found.

    Args:
        found: int64 (n, >= RECALL_AT) positions, best first.
        true: the same from exact search.
        own: int64 (n,) positions of the queries themselves, which do not count; None if they are not in the index.
    """
    shares = []
    for row in range(len(true)):
        left_out = {MISSING, int(own[row])} if own is not None else {MISSING}
        wanted = [p for p in true[row].tolist() if p not in left_out][:RECALL_AT]
        got = [p for p in found[row].tolist() if p not in left_out][:RECALL_AT]
        if wanted:
            shares.append(len(set(wanted) & set(got)) / len(wanted))
    return float(np.mean(shares)) if shares else 1.0


def choose_nprobe(recall_at: Callable[[int], float], lists: int, goal: float) -> tuple[int, float]:
    """*Pure.* The least nprobe whose recall reaches the goal, by doubling and then halving the interval.

    Args:
        recall_at: measures recall for an nprobe; grows with it.
        lists: most nprobe.
        goal: recall wanted.

    Returns:
        nprobe and its recall; `lists` if nothing reaches the goal.
    """
    low, high = 0, 1
    reached = recall_at(high)
    while reached < goal and high < lists:
        low, high = high, min(2 * high, lists)
        reached = recall_at(high)
    while high - low > max(1, high // 16) and reached >= goal:
        middle = (low + high) // 2
        value = recall_at(middle)
        if value >= goal:
            high, reached = middle, value
        else:
            low = middle
    return high, reached


@dataclasses.dataclass(frozen=True)
class Questions:
    """Test queries with their true answers.

    Attributes:
        queries: float32 (n, d).
        true: int64 (n, ASKED).
        own: positions of the queries in the index, or None for queries of the other kind.
    """

    queries: np.ndarray
    true: np.ndarray
    own: np.ndarray | None

    def recall(self, parts: PartSet, settings: SearchSettings) -> float:
        """Recall@10 of one setting."""
        _, found = parts.search(self.queries, ASKED, settings)
        return recall(found, self.true, self.own)


def tune(parts: PartSet, key: str, goal: float, questions: Questions) -> tuple[SearchSettings, float]:
    """*Worker.* The cheapest search settings that reach `goal` on these questions, and the recall that they have."""
    lists = lists_of(key)
    if lists == 0:
        return SearchSettings(), 1.0
    for rerank in RERANKS if parts.store is not None else (0,):

        def measure(nprobe: int, rerank: int = rerank) -> float:
            return questions.recall(parts, settings_for(key, nprobe, rerank))

        nprobe, reached = choose_nprobe(measure, lists, goal)
        if reached >= goal:
            break
    return settings_for(key, nprobe, rerank), reached


def settings_for(key: str, nprobe: int, rerank: int) -> SearchSettings:
    """*Pure.* Settings of a key; an HNSW coarse quantizer must look at more centroids than it returns."""
    return SearchSettings(nprobe, max(32, 2 * nprobe) if "_HNSW" in key else 0, rerank)


def milliseconds_per_query(parts: PartSet, settings: SearchSettings, queries: np.ndarray) -> dict[str, float]:
    """*Worker.* Mean wall time per query, one by one and in one batch, on this machine now."""
    single = queries[:64]
    start = time.perf_counter()
    for query in single:
        parts.search(query[None], RECALL_AT, settings)
    middle = time.perf_counter()
    parts.search(queries, RECALL_AT, settings)
    end = time.perf_counter()
    return {
        "ms_per_query": round((middle - start) / len(single) * 1e3, 4),
        "ms_per_query_batched": round((end - middle) / len(queries) * 1e3, 4),
    }
