"""*Worker.* The least effort of searches that reaches a recall."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np

from clip_spark.index.build.questions import DEPTHS, RECALL_AT, SHALLOW, Questions, Reachable
from clip_spark.index.files.keys import widest
from clip_spark.index.files.layout import Effort, SearchSettings
from clip_spark.index.open.parts import PartSet

WORST = 0.6
"""Least recall@10 that the worst of the test queries may have."""
RERANKS = (4, 16, 64)
"""Candidates per hit that are tried in turn for compressed parts."""
WIDER = 4
"""So many times the lists that hold enough of the true hits are tried before more candidates are: what these do not
reach is not for want of lists."""


def choose_nprobe(
    recall_at: Callable[[int], float], lists: int, goal: float, least: int = 1, steps: int = 16
) -> tuple[int, float]:
    """*Pure.* The least nprobe whose recall reaches the goal, by growing steps and then halving the interval.

    Args:
        recall_at: measures recall for an nprobe; grows with it.
        lists: most nprobe.
        goal: recall wanted.
        least: nprobe to begin with, which may be all that is needed.
        steps: the result is at most one part in so many above the least that reaches the goal.

    Returns:
        nprobe and its recall; `lists` if nothing reaches the goal.
    """
    low, high, step = least - 1, least, max(1, least // steps)
    reached = recall_at(high)
    while reached < goal and high < lists:
        low, high, step = high, min(high + step, lists), 2 * step
        reached = recall_at(high)
    while high - low > max(1, high // steps) and reached >= goal:
        middle = (low + high) // 2
        value = recall_at(middle)
        if value >= goal:
            high, reached = middle, value
        else:
            low = middle
    return high, reached


def tune(
    parts: PartSet, key: str, goal: float, asked: Sequence[Questions], depths: Sequence[int] = DEPTHS
) -> tuple[Effort, ...]:
    """*Worker.* For each depth the cheapest search settings that reach `goal` on all questions that are so deep."""
    efforts: list[Effort] = []
    lists = widest(key, parts.rows)
    least = settings_for(key, 1, RERANKS[0] if parts.store is not None else 0)
    known = [Reachable.of(parts, questions) for questions in asked] if lists else []
    for depth in depths:
        deep = [one for one in known if one.questions.depth(parts.rows) >= depth]
        narrow = min((one.ranks.shape[1] for one in deep), default=0)
        if depth <= parts.rows and deep:  # the few with longer answers are a part of all
            enough = [one for one in deep if one.ranks.shape[1] == narrow]
            start = settings_for(key, max(least.nprobe, least_lists(enough, depth, goal, lists)), least.rerank)
            efforts.append(_least_effort(parts, key, goal, enough, depth, start))
            least = _least_deeper(efforts[-1], depths)
    return tuple(efforts)


def _least_deeper(effort: Effort, depths: Sequence[int]) -> SearchSettings:
    """*Pure.* What the next depth begins with: as many lists, and in all as many candidates: fewer per hit."""
    deeper = next((depth for depth in depths if depth > effort.k), effort.k)
    enough = effort.k * effort.settings.rerank / deeper
    return replace(effort.settings, rerank=next((each for each in RERANKS if each >= enough), 0) if enough else 0)


def least_lists(known: Sequence[Reachable], depth: int, goal: float, lists: int) -> int:
    """*Pure.* The least nprobe with which all questions can reach the goal; `lists` if none does."""

    def worth(nprobe: int) -> float:
        return min(_worth(one.recalls(nprobe, depth), depth, goal) for one in known)

    return bisect_left(range(1, lists), goal, key=worth) + 1


def _least_effort(
    parts: PartSet, key: str, goal: float, asked: Sequence[Reachable], depth: int, least: SearchSettings
) -> Effort:
    lists = widest(key, parts.rows)

    @lru_cache(len(asked))  # the last settings that were tried are mostly those that are taken
    def found(number: int, settings: SearchSettings) -> np.ndarray:
        return asked[number].measured(parts, settings, depth)

    def reached(nprobe: int, rerank: int) -> float:
        settings, worst = settings_for(key, nprobe, rerank), 1.0
        for number in reversed(range(len(asked))):  # those of the other kind fail first: then the others are not asked
            worst = min(worst, _worth(found(number, settings), depth, goal))
            if worst < goal:
                break
        return worst

    reranks = [rerank for rerank in RERANKS if rerank >= least.rerank] if parts.store is not None else [0]
    for rerank in reranks:
        most = lists if rerank == reranks[-1] else min(lists, WIDER * least.nprobe)
        # One evaluation for thousands of hits takes as long as a hundred for ten: those are cut less finely.
        steps = 16 if depth <= SHALLOW else 4
        nprobe, value = choose_nprobe(partial(reached, rerank=rerank), most, goal, min(least.nprobe, lists), steps)
        if value >= goal:
            break
    settings = settings_for(key, nprobe, rerank)
    means = [float(each.mean()) if len(each) else 1.0 for each in (found(n, settings) for n in range(len(asked)))]
    return Effort(depth, settings, round(min(means), 4))


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
