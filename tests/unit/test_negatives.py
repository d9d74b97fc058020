"""What a query does not want: understood in words, left out and not subtracted, the same in every way to ask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip_spark.api.index import Index
from clip_spark.errors import SpecError
from clip_spark.index.build.build import build_index
from clip_spark.index.open.parts import MISSING
from clip_spark.index.specs import IndexSpec
from clip_spark.search.hits import Wanted
from clip_spark.search.negatives import LINE, sought
from clip_spark.search.plain_words import terms_of
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import numbered, write_embeddings

DIM, ROWS = 16, 600
RNG = np.random.default_rng(4)
BEACH, PEOPLE, DOGS = np.linalg.qr(RNG.normal(size=(DIM, 3)))[0].T.astype(np.float32)


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


SHOWN = np.arange(ROWS) % 4
"""What a row shows: 0 a beach, 1 a beach with people, 2 a beach with dogs, 3 people."""
NOISE = RNG.normal(size=(ROWS, DIM)) * 0.08
VECTORS = unit(np.stack([BEACH, BEACH + PEOPLE, BEACH + DOGS, PEOPLE])[SHOWN] + NOISE)


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    folder: Path = tmp_path_factory.mktemp("negatives")
    write_embeddings(folder / "emb", VECTORS, numbered(ROWS))
    output = str(folder / "index")
    build_index(lambda: None, IndexSpec(embeddings=(str(folder / "emb"),), output=output, index_key="Flat"))
    return Searcher.open(output)


@pytest.mark.parametrize(
    ("text", "wanted", "others"),
    [
        ("a beach without people", "a beach", ["people"]),
        ("A beach WITHOUT any people.", "A beach", ["people"]),
        ("a street with no cars, dogs or the people", "a street", ["cars", "dogs", "people"]),
        ("beach, no people and no dogs", "beach", ["people", "dogs"]),
        ("animals except for dogs", "animals", ["dogs"]),
        ("a sign that says no entry", "a sign that says no entry", []),
        ("no smoking", "no smoking", []),
        ("without", "without", []),
        ('"a beach without people"', "a beach without people", []),
        ("knots of a piano", "knots of a piano", []),
    ],
)
def test_what_is_not_wanted_is_said_in_words(text: str, wanted: str, others: list[str]) -> None:
    assert [(term.weight, term.value) for term in terms_of(text)] == [(1.0, wanted), *((-1.0, one) for one in others)]


def expected(query: np.ndarray, less: list[tuple[float, np.ndarray]], k: int) -> list[int]:
    """By brute force: the rule of negatives.py, row by row."""
    best = lambda vector: np.sort(VECTORS @ vector)[-4:].mean()  # noqa: E731
    kept = []
    for row in np.argsort(-(VECTORS @ query), kind="stable"):
        wanted = VECTORS[row] @ query - best(query)
        lines = [wanted - LINE * max(best(other) - query @ other * best(query), 0) for _, other in less]
        if all((VECTORS[row] @ other - best(other)) / w < line for (w, other), line in zip(less, lines, strict=True)):
            kept.append(int(row))
    return kept[:k]


def test_hits_are_left_out_by_rule_and_the_ranking_stays(searcher: Searcher) -> None:
    asked = sought([1.0, -1.0, -1.5], [BEACH, PEOPLE, DOGS])
    np.testing.assert_allclose(asked.vector, BEACH, atol=1e-6)
    for k in (5, 140):  # the second looks deeper than twice
        _, found = searcher.search_positions(asked.vector[None], Wanted(k=k), less=[asked.less])
        assert found[0].tolist() == expected(BEACH, [(1.0, PEOPLE), (1.5, DOGS)], k)
    assert (SHOWN[found[0]] == 0).mean() > 0.98
    plain = searcher.search_positions(BEACH[None], Wanted(k=140))[1][0]
    assert (SHOWN[plain] == 0).mean() > 0.9


def test_each_query_of_a_batch_has_its_own(searcher: Searcher) -> None:
    less = [np.empty((0, 0), np.float32), PEOPLE[None], DOGS[None]]
    queries = np.repeat(BEACH[None], 3, axis=0)
    found = searcher.search_positions(queries, Wanted(k=200), less=less)[1]
    for row, mine in enumerate(less):
        alone = searcher.search_positions(queries[:1], Wanted(k=200), less=[mine])[1][0]
        assert found[row][found[row] != MISSING].tolist() == alone[alone != MISSING].tolist()
    assert len({tuple(rows) for rows in found.tolist()}) == 3
    pages = [
        searcher.search_positions(queries[:1], Wanted(k=40, offset=at), less=less[1:2])[1][0]
        for at in range(0, 200, 40)
    ]
    assert np.concatenate(pages).tolist() == found[1].tolist()
    unlike = searcher.search_positions(queries[:1], Wanted(k=90, unique=0.97), less=less[1:2])[1][0]
    assert set(unlike[unlike != MISSING]) <= set(
        searcher.search_positions(queries[:1], Wanted(k=ROWS), less=less[1:2])[1][0]
    )


def test_words_and_expressions_ask_the_same(searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"a beach": BEACH, "people": PEOPLE, "a beach without people": unit(BEACH + PEOPLE)}
    monkeypatch.setattr(Searcher, "embed_text", lambda _, text: known[text])
    index = Index(searcher)

    def rows(**ways: str) -> list[int]:
        return [int(str(hit.record["text"]).split()[1]) for hit in index.search(k=20, **ways)]

    assert (
        rows(text="a beach without people") == rows(query='"a beach" - "people"') == expected(BEACH, [(1, PEOPLE)], 20)
    )
    literal = rows(text='"a beach without people"')
    assert literal == rows(query='"a beach without people"') == expected(unit(BEACH + PEOPLE), [], 20)
    (many,) = index.search_many(["a beach without people"], k=20)
    assert [int(str(hit.record["text"]).split()[1]) for hit in many] == rows(text="a beach without people")


def test_a_query_that_wants_nothing_is_refused() -> None:
    with pytest.raises(SpecError, match="at least one term that is wanted"):
        sought([-1.0, 0.0], [BEACH, PEOPLE])
    with pytest.raises(SpecError, match="cancel each other out"):
        sought([1.0, 1.0], [BEACH, -BEACH])
