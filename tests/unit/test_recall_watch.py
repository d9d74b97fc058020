"""Real queries are compared with all vectors beside the requests: the recall is right, and told where it is too low."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
import pytest
from fastapi.testclient import TestClient

from clip_spark.index.build.build import build_index
from clip_spark.index.files.layout import Effort, IndexFile, IndexInfo, SearchSettings
from clip_spark.index.open.missed import Checked, Comparison
from clip_spark.index.open.parts import PartSet
from clip_spark.index.open.ranking import RankedParts
from clip_spark.index.open.removals import Removed
from clip_spark.index.open.vectors import VectorStore
from clip_spark.index.specs import IndexSpec
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher
from clip_spark.web import recall_watch
from clip_spark.web.answers import CardAnswer
from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog
from clip_spark.web.recall_checks import RecallChecks
from clip_spark.web.recall_watch import SHARE, WAITING, RecallWatch, is_watched
from clip_spark.web.served import ServedIndex
from tests.helpers_embeddings import numbered, write_embeddings

ROWS, DIM, LISTS, K = 4000, 16, 64, 10
RNG = np.random.default_rng(7)
FEW, GOOD = SearchSettings(1), SearchSettings(16)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


VECTORS, QUERIES = unit(RNG.normal(size=(ROWS, DIM))), unit(RNG.normal(size=(200, DIM)))
PENALTIES = RNG.uniform(0, 0.3, ROWS).astype(np.float16)


@cache
def trained(part: int, parts: int) -> faiss.Index:
    index = faiss.index_factory(DIM, f"IVF{LISTS},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(VECTORS[:2000])
    rows = np.arange(part, ROWS, parts)
    index.add_with_ids(VECTORS[rows], rows)
    return index


def info_of(settings: SearchSettings, recall: float) -> IndexInfo:
    whole, efforts = (IndexFile("part", 0, ROWS, 1, "x"),), (Effort(100, settings, recall),)
    return IndexInfo({}, "image", DIM, "ip", f"IVF{LISTS},Flat", settings, whole, efforts=efforts)


def parts_of(parts: int = 1, settings: SearchSettings = FEW, removed: Any = ()) -> PartSet:
    removals: Any = SimpleNamespace(now=lambda: Removed(np.array(removed, np.int64)))
    return PartSet([trained(part, parts) for part in range(parts)], info_of(settings, 0.9), None, removals)


def compared(parts: PartSet, checked: list[Checked]) -> np.ndarray:
    comparison = Comparison(parts, checked)
    for _ in comparison.steps():
        pass
    return comparison.recalls()


def by_definition(scores: np.ndarray, found: np.ndarray, allowed: np.ndarray) -> list[float]:
    """Scores (n, rows) of everything, hits (n, k), and which rows may be found."""
    recalls = []
    for mine, hits in zip(np.where(allowed, scores, -np.inf), found, strict=True):
        still = hits[allowed[hits]]
        recalls.append(len(np.intersect1d(np.argsort(-mine)[: len(still)], still)) / len(still))
    return recalls


@pytest.mark.parametrize("parts", [1, 3])
def test_recall_is_that_of_a_brute_force_search(parts: int) -> None:
    searched = parts_of(parts)
    scores, found = searched.search(QUERIES, K)
    recalls = compared(
        searched, [Checked(*each) for each in zip(QUERIES, [searched] * 200, scores, found, strict=True)]
    )
    expected = by_definition(QUERIES @ VECTORS.T, found, np.ones(ROWS, bool))
    assert recalls.tolist() == pytest.approx(expected) and 0.1 < recalls.mean() < 0.9


def test_what_was_taken_down_since_does_not_count() -> None:
    scores, found = parts_of().search(QUERIES, K)
    removed = np.unique([*found[:, 0], *range(0, ROWS, 3)])
    now = parts_of(removed=removed)
    recalls = compared(now, [Checked(*each) for each in zip(QUERIES, [now] * 200, scores, found, strict=True)])
    allowed = ~np.isin(np.arange(ROWS), removed)
    assert recalls.tolist() == pytest.approx(by_definition(QUERIES @ VECTORS.T, found, allowed))


def test_hub_corrected_and_raw_searches_are_checked_together(tmp_path: Path) -> None:
    PENALTIES.tofile(tmp_path / "p")
    store = VectorStore(str(tmp_path), [IndexFile("p", 0, ROWS, 2 * ROWS, "x")], 1)
    raw, corrected = (parts := parts_of(2)), RankedParts(parts, store, 0.0)
    checked, expected = [], []
    for row, ranking in zip(range(40), [raw, corrected] * 20, strict=True):
        scores, found = ranking.search(QUERIES[row : row + 1], K)
        checked.append(Checked(QUERIES[row], ranking, scores[0], found[0]))
        every = QUERIES[row : row + 1] @ VECTORS.T - (PENALTIES.astype(np.float32) if ranking is corrected else 0)
        expected += by_definition(every, found, np.ones(ROWS, bool))
    assert compared(parts, checked).tolist() == pytest.approx(expected)


def test_compressed_parts_are_compared_by_their_vectors_and_erased_ones_never(tmp_path: Path) -> None:
    rows = VECTORS.astype(np.float16)
    rows[::5] = 0  # erased: in no part any more
    rows.tofile(tmp_path / "v")
    index = faiss.index_factory(DIM, f"IVF{LISTS},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(VECTORS)
    kept = np.flatnonzero(np.arange(ROWS) % 5)
    index.add_with_ids(VECTORS[kept], kept)
    store = VectorStore(str(tmp_path), [IndexFile("v", 0, ROWS, rows.nbytes, "x")], DIM)
    parts = PartSet([index], info_of(SearchSettings(2, 0, 4), 0.9), store)
    scores, found = parts.search(QUERIES, K)
    recalls = compared(parts, [Checked(*each) for each in zip(QUERIES, [parts] * 200, scores, found, strict=True)])
    there = np.arange(ROWS) % 5 > 0
    expected = by_definition(QUERIES @ rows.astype(np.float32).T, found, there)
    assert recalls.tolist() == pytest.approx(expected)


def test_a_record_that_is_the_query_was_not_missed() -> None:
    parts = parts_of(settings=SearchSettings(LISTS))
    scores, found = parts.search(VECTORS[:1], K + 1)
    assert compared(parts, [Checked(VECTORS[0], parts, scores[0, 1:], found[0, 1:], own=0)]).tolist() == [1.0]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("watched")
    write_embeddings(folder / "pictures", VECTORS, numbered(ROWS), modality="image")
    spec = IndexSpec(embeddings=(str(folder / "pictures"),), output=str(folder / "index"))
    return build_index(lambda: pytest.fail("no session"), spec).uri


@pytest.fixture
def app(output: str) -> Any:
    """A server over an index whose lists are looked into as its build promised."""
    app = create_app(Catalog({"pictures": searcher_of(output, GOOD)}))
    yield app
    app.state.catalog.get(None).searcher.close()


def searcher_of(output: str, settings: SearchSettings) -> Searcher:
    searcher = Searcher.open(output)
    recall = float(np.mean(by_definition(QUERIES @ VECTORS.T, parts_of(settings=GOOD).search(QUERIES, K)[1],
                                         np.ones(ROWS, bool))))  # fmt: skip
    efforts = (Effort(100, settings, recall),)
    searcher.info = replace(searcher.info, settings=settings, efforts=efforts)
    searcher.parts = PartSet([trained(0, 1)], searcher.info)
    return searcher


def ask(app: Any, queries: np.ndarray) -> None:
    """Queries as requests come, with a look after each as if the thread always had time."""
    checks, index = RecallChecks(app.state, rests=0.0), app.state.catalog.get(None)
    for query in queries:
        index.search(query, Wanted(k=K), kind="image")
        checks.look()


def test_a_cut_nprobe_is_told_within_200_queries(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServedIndex, "check", lambda index: None)  # it would load the model
    client = TestClient(app)
    index = app.state.catalog.get(None)
    index.watch = RecallWatch(index.searcher.info, random.Random(1))
    for _ in range(3):
        ask(app, QUERIES)
    well = index.watch.figures
    assert not well.low and well.recall == pytest.approx(well.expected, abs=0.05) and abs(well.drift) < 0.05
    assert client.get("/card").json()["watched"]["warning"] == "" and client.get("/ready").json() == {"status": "ready"}
    index.searcher.parts = PartSet([trained(0, 1)], replace(index.searcher.info, efforts=(Effort(100, FEW, 0.9),)))
    ask(app, QUERIES)
    cut = index.watch.figures
    assert cut.low and cut.recall < 0.6 < cut.expected and cut.drift < -0.2 and cut.checked < 800 * 2 * SHARE
    assert CardAnswer.model_validate(client.get("/card").json()).watched.warning == index.warning
    assert client.get("/ready").json()["notes"] == {"pictures": index.warning} and "the build" in index.warning
    told = client.get("/metrics").text
    assert 'clip_spark_recall_low{index="pictures"} 1.0' in told
    assert f'clip_spark_recall_checked{{index="pictures"}} {float(cut.checked)}' in told


def test_a_new_generation_begins_with_nothing_and_ends_the_check_of_the_one_before(app: Any) -> None:
    before = app.state.catalog
    old = before.get(None)
    checks = RecallChecks(app.state, rests=0.0)
    while not old.watch._waiting:
        old.search(QUERIES[0], Wanted(k=K), kind="image")
    app.state.catalog = before.replaced("pictures", old.searcher)
    checks._check(old, old.watch.take())
    fresh = app.state.catalog.get(None)
    assert fresh.watch.figures is None and "clip_spark_recall_low{" not in app.state.catalog.timings.text({}).decode()


def test_waiting_queries_are_few_however_many_come() -> None:
    watch = RecallWatch(info_of(GOOD, 0.9), random.Random(3))
    parts, wanted = parts_of(), Wanted(k=300)
    chosen = 0
    for query in np.tile(QUERIES, (10, 1)):
        if watch.wants(wanted):
            chosen += 1
            watch.add(Checked(query, parts, np.zeros(300, np.float32), np.arange(300)))
    waiting = watch.take()
    assert chosen == pytest.approx(2000 * SHARE, rel=0.2) and len(waiting) == WAITING and watch.take() == []
    assert {len(one.positions) for one in waiting} == {recall_watch.MOST_HITS}


@pytest.mark.parametrize(
    "limits", [{"where": "n = 2"}, {"offset": 10}, {"unique": 0.9}, {"threshold": 0.3}, {"quarantine_hubs": True}]
)
def test_only_queries_whose_recall_is_known_are_watched(limits: dict[str, Any]) -> None:
    assert is_watched(Wanted(k=10)) and not is_watched(Wanted(k=10, **limits))


def test_an_exact_index_and_one_beyond_memory_are_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = RecallWatch(info_of(SearchSettings(), 1.0))
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 4 * DIM * ROWS}[name])
    huge = RecallWatch(info_of(GOOD, 0.9))
    assert not any(watch.wants(Wanted(k=10)) for watch in (exact, huge) for _ in range(200))


def test_recall_that_nobody_measured_is_told_where_it_falls() -> None:
    watch, parts = RecallWatch(info_of(GOOD, 0.9)), parts_of()
    one = Checked(QUERIES[0], parts, np.zeros(1, np.float32), np.zeros(1, np.int64))
    chance = np.random.default_rng(1)
    for share in (0.8, 0.8, 0.8):
        last = watch.note([one] * 24, chance.binomial(10, share, 24) / 10)
    assert not last.low and np.isnan(last.expected)
    assert "it was more before" in watch.note([one] * 24, chance.binomial(10, 0.5, 24) / 10).warning
