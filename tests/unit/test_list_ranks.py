"""Recall of every nprobe is known from the lists that true hits lie in: it equals what searches find."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from clip_spark.index.build.exact import exact_answers
from clip_spark.index.build.list_ranks import ranks_among, ranks_of_true
from clip_spark.index.build.questions import Questions, Reachable
from clip_spark.index.build.tune import least_lists, tune
from clip_spark.index.files.layout import SearchSettings
from clip_spark.index.open.parts import PartSet
from tests.helpers_lists import parts_in_lists

ROWS, DIM, LISTS, K, GOAL = 4_000, 16, 32, 10, 0.9
RNG = np.random.default_rng(3)
VECTORS = RNG.normal(size=(ROWS, DIM)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)


def parts_of(key: str, metric: str = "ip", parts: int = 1) -> PartSet:
    return parts_in_lists(VECTORS, key, metric, parts)


def questions(own: bool) -> Questions:
    rows = np.arange(0, ROWS, 50) if own else None
    queries = VECTORS[::50] if own else np.roll(VECTORS[::50], 1, axis=1)
    return Questions(queries, exact_answers([(0, VECTORS)], [(queries, 2 * K)])[0][1], rows)


@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("own", [True, False])
def test_recall_by_lists_is_that_of_searches(metric: str, parts: int, own: bool) -> None:
    index, asked = parts_of(f"IVF{LISTS},Flat", metric, parts), questions(own)
    known = Reachable.of(index, asked)
    for nprobe in (1, 2, 5, 11, LISTS):
        for at in (1, K):
            searched = asked.recalls(index, SearchSettings(nprobe), at)
            np.testing.assert_array_equal(known.recalls(nprobe, at), searched)
    assert known.is_all and known.recalls(LISTS, K).min() == 1


@pytest.mark.parametrize("key", [f"OPQ4_{DIM},IVF{LISTS},PQ4x8", f"IVF{LISTS},SQ8"])
def test_compressed_vectors_find_no_more_than_their_lists_hold(key: str) -> None:
    index, asked = parts_of(key), questions(own=False)
    known = Reachable.of(index, asked)
    for nprobe in (1, 4, LISTS):
        assert (asked.recalls(index, SearchSettings(nprobe), K) <= known.recalls(nprobe, K)).all()
    assert not known.is_all


def test_the_lists_that_are_taken_are_the_fewest_that_reach_the_goal() -> None:
    index, asked = parts_of(f"IVF{LISTS},Flat"), questions(own=False)
    (effort,) = tune(index, f"IVF{LISTS},Flat", GOAL, [asked], depths=(K,))
    shares = [asked.recalls(index, SearchSettings(nprobe), K) for nprobe in range(1, LISTS + 1)]
    first = next(n for n, share in enumerate(shares, 1) if share.mean() >= GOAL and share.min() >= 0.6)
    assert effort.settings.nprobe == first == least_lists([Reachable.of(index, asked)], K, GOAL, LISTS)
    assert effort.recall == round(float(shares[first - 1].mean()), 4)


@pytest.mark.parametrize("coarse", [f"IVF{LISTS}_HNSW8", f"IVF{LISTS}(IVF4,Flat)"])
def test_where_lists_are_not_found_exactly_searches_decide(coarse: str) -> None:
    index, asked = parts_of(f"{coarse},Flat"), questions(own=False)
    (effort,) = tune(index, f"{coarse},Flat", GOAL, [asked], depths=(K,))
    found = asked.recalls(index, effort.settings, K)
    assert found.mean() >= GOAL or effort.settings.nprobe == LISTS
    assert not Reachable.of(index, asked).is_all and effort.recall == round(float(found.mean()), 4)


def test_what_was_erased_lies_in_no_list() -> None:
    index = parts_of(f"IVF{LISTS},Flat")
    faiss.extract_index_ivf(index.indexes[0]).remove_ids(np.array([7]))
    ranks = ranks_of_true(index.indexes, ROWS, VECTORS[7:8], np.array([[7, 8]]))
    assert ranks[0, 0] == LISTS + 1 and 1 <= ranks[0, 1] <= LISTS


def test_ranks_are_places_in_a_falling_sort() -> None:
    scores = RNG.permutation(60).reshape(3, 20).astype(np.float32)
    wanted = RNG.integers(0, 20, (3, 5))
    order = np.argsort(-scores, axis=1)
    expected = [[int(np.flatnonzero(order[row] == one)[0]) + 1 for one in wanted[row]] for row in range(3)]
    np.testing.assert_array_equal(ranks_among(scores, wanted), expected)
