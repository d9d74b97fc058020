"""How deep a search looks: measured for every k, deeper behind a condition, and never short of hits."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import cache

import faiss
import numpy as np
import pytest

from clip_spark.index.build.exact import Wish, exact_answers, exact_hits
from clip_spark.index.build.measure import Goal, measure
from clip_spark.index.build.questions import make_questions, recalls
from clip_spark.index.files.layout import Effort, IndexFile, IndexInfo, SearchSettings
from clip_spark.index.open.effort import ALL_LISTS, choose_effort
from clip_spark.index.open.parts import MISSING, PartSet
from clip_spark.index.open.selection import Selection

ROWS, DIM, LISTS, GOAL = 12_000, 24, 128, 0.95
RNG = np.random.default_rng(5)
CENTRES = RNG.normal(size=(200, DIM))
GAP = RNG.normal(size=DIM)
"""Texts lie beside pictures, not among them: what makes queries of the other kind hard."""
KEY = f"IVF{LISTS},Flat"
NOTHING = SearchSettings()
TABLE = tuple(
    Effort(k, SearchSettings(nprobe), recall) for k, nprobe, recall in ((1, 2, 0.99), (10, 8, 0.97), (100, 20, 0.95))
)


def drawn(rows: int, gap: np.ndarray | float = 0.0) -> np.ndarray:
    """Unit vectors in clusters, float32 (rows, DIM)."""
    vectors = CENTRES[RNG.integers(0, len(CENTRES), rows)] + RNG.normal(size=(rows, DIM)) + gap
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


VECTORS = drawn(ROWS)


def exact(wanted: Sequence[Wish]) -> list[np.ndarray]:
    return [positions for _, positions in exact_answers([(0, VECTORS)], wanted)]


def parts_of(settings: SearchSettings = NOTHING, efforts: tuple[Effort, ...] = ()) -> PartSet:
    whole = (IndexFile("part", 0, ROWS, 1, "x"),)
    return PartSet([trained()], IndexInfo({}, "image", DIM, "ip", KEY, settings, whole, efforts=efforts))


@cache  # not at import: each process of a run imports all tests
def trained() -> faiss.Index:
    index = faiss.index_factory(DIM, KEY, faiss.METRIC_INNER_PRODUCT)
    index.train(VECTORS)
    index.add_with_ids(VECTORS, np.arange(ROWS))
    return index


@pytest.mark.parametrize("at", [1, 3, 50])
@pytest.mark.parametrize("known", [False, True])
def test_recall_is_the_share_of_the_true_hits(at: int, known: bool) -> None:
    draw = np.random.default_rng(at)
    found, true = (np.array([draw.permutation(12)[:width] for _ in range(40)]) for width in (9, 7))
    found[draw.random(found.shape) < 0.2] = true[draw.random(true.shape) < 0.2] = MISSING
    true[5] = MISSING
    own = draw.integers(0, 12, 40) if known else None
    left_out = [{MISSING} if own is None else {MISSING, int(own[row])} for row in range(40)]
    sides = [
        [[one for one in side[row] if one not in left_out[row]][:at] for row in range(40)] for side in (true, found)
    ]
    shares = [len({*wanted} & {*got}) / len(wanted) for wanted, got in zip(*sides, strict=True) if wanted]
    np.testing.assert_allclose(recalls(found, true, own, at), shares)
    assert len(shares) < 40 and recalls(found[:0], true[:0], None, at).shape == (0,)


@pytest.fixture(scope="module")
def tuned() -> PartSet:
    """Tuned for pictures and for texts, as a build with --queries does."""
    positions = np.sort(RNG.choice(ROWS, 128, replace=False))
    own, cross = make_questions([(VECTORS[positions], positions), (drawn(128, GAP), None)], ROWS, exact)
    found = measure(parts_of(), KEY, Goal(GOAL, 1e9), own, cross)
    assert found.figures["recall_at_10"] >= GOAL and found.figures["recall_at_10_cross"] >= GOAL
    return parts_of(found.settings, found.efforts)


@pytest.mark.parametrize("k", [1, 10, 40, 300, 3_000, 11_000])
def test_texts_find_their_true_nearest_at_every_k(tuned: PartSet, k: int) -> None:
    queries = drawn(500 if k == 1 else 100, GAP)
    _, found = tuned.search(queries, k)
    shares = recalls(found, exact([(queries, k)])[0], None, k)
    assert shares.mean() >= GOAL - 0.02  # other queries than those that the table was measured with
    assert k != 10 or shares.min() >= 0.5
    assert (found != MISSING).all()


@pytest.mark.parametrize("share", [0.5, 0.05, 0.001])
@pytest.mark.parametrize("k", [10, 400])
def test_a_condition_costs_no_recall(tuned: PartSet, share: float, k: int) -> None:
    mask = RNG.random(ROWS) < share
    rows = np.flatnonzero(mask)
    queries = drawn(50, GAP)
    _, found = tuned.search(queries, k, selection=Selection(mask))
    k = min(k, len(rows))
    true = rows[exact_hits([(0, VECTORS[rows])], queries, k)[1]]
    assert recalls(found, true, None, k).mean() >= GOAL - 0.02
    assert found.shape[1] == k and (found != MISSING).all() and mask[found].all()


def test_hits_are_filled_up_when_a_list_holds_too_few() -> None:
    _, found = parts_of(SearchSettings(nprobe=1), (Effort(ROWS, SearchSettings(nprobe=1), 0.1),)).search(
        drawn(3), 5_000
    )
    assert (found != MISSING).all()


def test_the_table_is_read_by_depth() -> None:
    base = SearchSettings(8)
    assert choose_effort(TABLE, base, 5, ROWS, None) == Effort(5, SearchSettings(8), 0.97)
    assert choose_effort(TABLE, base, 101, ROWS, None) == Effort(101, SearchSettings(ALL_LISTS), 1.0)
    assert choose_effort(TABLE, base, 5, 100_000, 50_000).settings.nprobe == 16  # half of the rows, twice the lists
    assert choose_effort(TABLE, base, 10, 100_000, 50_000) == Effort(10, SearchSettings(20), 0.95)
    assert choose_effort(TABLE, base, 10, 100_000, 9_000) == Effort(10, SearchSettings(ALL_LISTS), 1.0)
    assert choose_effort((), SearchSettings(), 10, 100, 5) == Effort(10, SearchSettings(), 1.0)  # exact


def test_an_index_without_a_table_looks_deeper_for_more_hits() -> None:
    found = choose_effort((), SearchSettings(8), 1_000, 1_000_000, None)
    assert found.settings == SearchSettings(80) and math.isnan(found.recall)


def test_what_was_not_measured_or_takes_too_long_is_said(caplog: pytest.LogCaptureFixture) -> None:
    positions = np.arange(32)
    (own,) = make_questions([(VECTORS[positions], positions)], ROWS, exact)
    with caplog.at_level(logging.WARNING):
        found = measure(parts_of(), KEY, Goal(0.8, 1e-6), own, how="not measured: texts as queries")
    assert found.figures["recall_at_10_cross"] == "not measured: texts as queries"
    assert "--max-query-ms asks for 1e-06; the recall is kept" in caplog.text
