"""*Worker.* Recall against exact search, and the least effort that reaches a goal."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from clip_spark.index.build.choose_key import widest
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.files.layout import Effort, SearchSettings
from clip_spark.index.open.parts import MISSING, PartSet, merge

RECALL_AT = 10
TEST_QUERIES = 512
DEPTHS = (1, RECALL_AT, 100, 1_000, 10_000)
"""Hits for which settings are measured; a search takes those of the next greater one."""
SHALLOW, FEW_QUERIES = 100, 32
"""All test queries know their true best SHALLOW, and so many of them the true best of all DEPTHS."""
WORST = 0.6
"""Least recall@10 that the worst of the test queries may have."""
RERANKS = (4, 16, 64)
"""Candidates per hit that are tried in turn for compressed parts."""


Wish = tuple[np.ndarray, int]
"""Queries float32 (n, d), and how many of their nearest are wanted."""


def exact_hits(
    blocks: Iterable[tuple[int | np.ndarray, np.ndarray]], queries: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """*Worker.* The true k best by inner product over streamed vectors.

    Args:
        blocks: (position of the first, or of each, float32 (m, d)).
        queries: float32 (n, d).
        k: hits per query.

    Returns:
        scores float32 (n, k), positions int64 (n, k), MISSING where there are fewer than k vectors.
    """
    return exact_answers(blocks, [(queries, k)])[0]


def exact_answers(
    blocks: Iterable[tuple[int | np.ndarray, np.ndarray]], wanted: Sequence[Wish]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """*Worker.* The same for several sets of queries, while the vectors pass by once."""
    faiss = load_faiss()
    best = [
        (np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), MISSING, np.int64))
        for queries, k in wanted
    ]
    for first, vectors in blocks:
        for number, (queries, k) in enumerate(wanted):
            scores, rows = faiss.knn(queries, vectors, min(k, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)
            found = scores, first[rows] if isinstance(first, np.ndarray) else rows + first
            best[number] = merge([best[number], found], k)
    return best


def recalls(found: np.ndarray, true: np.ndarray, own: np.ndarray | None = None, at: int = RECALL_AT) -> np.ndarray:
    """*Pure.* Share of the true `at` hits that were found, for each query that has any; float64 (<= n,).

    Args:
        found: int64 (n, >= at) positions, best first.
        true: the same from exact search.
        own: int64 (n,) positions of the queries themselves, which do not count; None if they are not in the index.
        at: hits that count.
    """
    # A number for each pair of query and position: a thousand queries are compared as one.
    first = np.arange(len(true))[:, None] * (int(max(true.max(initial=0), found.max(initial=0))) + 1)
    wanted, got = _counted(true, own, at), _counted(found, own, at)
    hit = np.zeros(true.shape, bool)
    hit[wanted] = np.isin((true + first)[wanted], (found + first)[got])
    asked = wanted.sum(axis=1)
    return hit.sum(axis=1)[asked > 0] / asked[asked > 0]


def _counted(positions: np.ndarray, own: np.ndarray | None, at: int) -> np.ndarray:
    """*Pure.* Which of the positions are the first `at` hits, bool (n, m)."""
    hits = positions != MISSING
    if own is not None:
        hits &= positions != own[:, None]
    return hits & (np.cumsum(hits, axis=1) <= at)


def choose_nprobe(
    recall_at: Callable[[int], float], lists: int, goal: float, least: int = 1, steps: int = 16
) -> tuple[int, float]:
    """*Pure.* The least nprobe whose recall reaches the goal, by doubling and then halving the interval.

    Args:
        recall_at: measures recall for an nprobe; grows with it.
        lists: most nprobe.
        goal: recall wanted.
        least: nprobe to begin with.
        steps: the result is at most one part in so many above the least that reaches the goal.

    Returns:
        nprobe and its recall; `lists` if nothing reaches the goal.
    """
    low, high = least - 1, least
    reached = recall_at(high)
    while reached < goal and high < lists:
        low, high = high, min(2 * high, lists)
        reached = recall_at(high)
    while high - low > max(1, high // steps) and reached >= goal:
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
        true: int64 (n, depth + 1), for a stored vector finds itself.
        own: positions of the queries in the index, or None for queries of the other kind.
    """

    queries: np.ndarray
    true: np.ndarray
    own: np.ndarray | None

    def recalls(self, parts: PartSet, settings: SearchSettings, at: int = RECALL_AT) -> np.ndarray:
        """Recall of one setting for each query, float64 (n,)."""
        _, found = parts.search(self.queries, at + 1, settings, fill=False)
        return recalls(found, self.true, self.own, at)

    def recall(self, parts: PartSet, settings: SearchSettings, at: int = RECALL_AT) -> float:
        """The mean over the queries; 1 where there is nothing to be found."""
        found = self.recalls(parts, settings, at)
        return float(found.mean()) if len(found) else 1.0

    def depth(self, rows: int) -> int:
        """The greatest k for which the true answers are known, in an index of so many rows."""
        return rows if self.true.shape[1] >= rows else self.true.shape[1] - 1


Exact = Callable[[Sequence[Wish]], list[np.ndarray]]
"""For each set of queries the positions of their true nearest, int64 (n, k); all at once, as all vectors are read."""


def make_questions(
    sets: Sequence[tuple[np.ndarray, np.ndarray | None]],
    rows: int,
    exact: Exact,
    depths: Sequence[int] = (SHALLOW, DEPTHS[-1]),
) -> list[list[Questions]]:
    """*Driver.* Each set several times: all of its queries with short true answers, and a few with long ones.

    Args:
        sets: queries, float32 (n, d), and their positions in the index, or None for those of the other kind; without
            queries there are no questions.
        rows: of the index.
        exact: finds the true nearest.
        depths: how many of these are to be known; a few queries are enough for more than SHALLOW.
    """
    known = [depth for depth in depths if depth <= SHALLOW or rows > SHALLOW]
    asked = [[_some(queries, own, depth) for depth in known if len(queries)] for queries, own in sets]
    wanted = [
        (queries, min(depth + 1, rows)) for some in asked for (queries, _), depth in zip(some, known, strict=False)
    ]
    true = iter(exact(wanted) if wanted else ())
    return [[Questions(queries, next(true), own) for queries, own in some] for some in asked]


def _some(queries: np.ndarray, own: np.ndarray | None, depth: int) -> tuple[np.ndarray, np.ndarray | None]:
    """*Pure.* The queries that are asked for so many hits, and their positions."""
    some = slice(None, None, max(1, len(queries) // FEW_QUERIES)) if depth > SHALLOW else slice(None)
    return queries[some], None if own is None else own[some]


def tune(
    parts: PartSet, key: str, goal: float, asked: Sequence[Questions], depths: Sequence[int] = DEPTHS
) -> tuple[Effort, ...]:
    """*Worker.* For each depth the cheapest search settings that reach `goal` on all questions that are so deep."""
    efforts: list[Effort] = []
    lists = widest(key, parts.rows)
    least = settings_for(key, 1, RERANKS[0] if parts.store is not None else 0)
    for depth in depths if lists else ():
        deep = [questions for questions in asked if questions.depth(parts.rows) >= depth]
        narrow = min((questions.true.shape[1] for questions in deep), default=0)
        if depth <= parts.rows and deep:  # the few with longer answers are a part of all
            enough = [questions for questions in deep if questions.true.shape[1] == narrow]
            efforts.append(_least_effort(parts, key, goal, enough, depth, least))
            least = efforts[-1].settings
    return tuple(efforts)


def _least_effort(
    parts: PartSet, key: str, goal: float, asked: Sequence[Questions], depth: int, least: SearchSettings
) -> Effort:
    lists = widest(key, parts.rows)

    def reached(nprobe: int, rerank: int) -> float:
        settings, worst = settings_for(key, nprobe, rerank), 1.0
        for questions in reversed(asked):  # those of the other kind fail first, and then the others need not be asked
            worst = min(worst, _worth(questions.recalls(parts, settings, depth), depth, goal))
            if worst < goal:
                break
        return worst

    for rerank in [rerank for rerank in RERANKS if rerank >= least.rerank] if parts.store is not None else [0]:
        # One evaluation for thousands of hits takes as long as a hundred for ten: those are cut less finely.
        steps = 16 if depth <= SHALLOW else 4
        nprobe, value = choose_nprobe(partial(reached, rerank=rerank), lists, goal, min(least.nprobe, lists), steps)
        if value >= goal:
            break
    settings = settings_for(key, nprobe, rerank)
    return Effort(depth, settings, round(min(questions.recall(parts, settings, depth) for questions in asked), 4))


def _worth(found: np.ndarray, depth: int, goal: float) -> float:
    """*Pure.* The mean recall, and less than the goal while the worst query is below WORST at RECALL_AT hits."""
    if not len(found):
        return 1.0
    mean = float(found.mean())
    return mean if depth != RECALL_AT else min(mean, goal + float(found.min()) - WORST)


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


def harder(new: Sequence[Effort], old: Sequence[Effort]) -> tuple[Effort, ...]:
    """*Pure.* For each depth the greater effort of two tables; what only one has stays."""
    known = {effort.k: effort for effort in old}
    best = [max(one, known.pop(one.k, one), key=lambda e: (e.settings.rerank, e.settings.nprobe)) for one in new]
    return tuple(sorted([*best, *known.values()], key=lambda effort: effort.k))
