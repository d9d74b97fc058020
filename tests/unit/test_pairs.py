"""Two indices of the same records: searched together, shown together, ranked by both; numpy is the oracle."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clip_spark as cs
from clip_spark.commands.prompt_session import Session
from clip_spark.datasets.schema import record_id
from clip_spark.errors import InputError, SpecError
from clip_spark.index.build.build import build_index
from clip_spark.index.open.removals import add_removed
from clip_spark.index.specs import IndexSpec
from clip_spark.search import mixed
from clip_spark.search.answers import hits_table
from clip_spark.search.command import run_query
from clip_spark.search.hits import Wanted
from clip_spark.search.mixed import best_of_both
from clip_spark.search.searcher import Searcher
from clip_spark.search.sides import Side, told
from clip_spark.search.spec import SearchSpec
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings

ROWS = 700
PROMPTS, PICTURES = unit_vectors(ROWS, seed=1), unit_vectors(ROWS, seed=2)
QUERY = unit_vectors(1, seed=3)[0]
HAVE_PICTURE = np.arange(ROWS) % 10 != 9
NAMES = numbered(ROWS)


def write_index(folder: Path, name: str, vectors: np.ndarray, names: list[str]) -> str:
    write_embeddings(folder / f"{name}-emb", vectors, names, shard_rows=250)
    spec = IndexSpec(embeddings=str(folder / f"{name}-emb"), output=str(folder / name))
    build_index(lambda: pytest.fail("no Spark"), spec)
    return str(folder / name)


@pytest.fixture(scope="module")
def uris(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("pairs")
    rows = np.flatnonzero(HAVE_PICTURE)[::-1]  # in another order than the prompts
    pictures = write_index(folder, "pictures", PICTURES[rows], [NAMES[row] for row in rows])
    np.save(folder / "query.npy", QUERY[None])
    return pictures, write_index(folder, "prompts", PROMPTS, NAMES)


@pytest.fixture(scope="module")
def sides(uris: tuple[str, str]) -> tuple[Side, Side]:
    first, second = (Side(Searcher.open(uri), None) for uri in uris)
    return first, second


def row_of(record: dict[str, object]) -> int:
    return int(str(record["text"]).split()[1])


@settings(max_examples=60)
@given(weight=st.floats(0.01, 1), k=st.integers(1, 80), offset=st.integers(0, 400), where=st.booleans())
def test_a_mixed_ranking_is_the_true_one(
    sides: tuple[Side, Side], weight: float, k: int, offset: int, where: bool
) -> None:
    scores = (1 - weight) * PICTURES @ QUERY + weight * PROMPTS @ QUERY
    allowed = HAVE_PICTURE & (np.char.endswith(NAMES, "7") if where else True)
    order = [row for row in np.argsort(-scores, kind="stable") if allowed[row]]
    wanted = Wanted(k=k, offset=offset, where="text like '%7'" if where else "")
    hits = told(*sides, *best_of_both(sides, (QUERY, QUERY), wanted, weight), offset, "both")
    assert [row_of(hit.record) for hit in hits] == order[offset : offset + k]
    np.testing.assert_allclose([hit.score for hit in hits], scores[order[offset : offset + k]], atol=1e-5)
    assert [hit.rank for hit in hits] == list(range(offset + 1, offset + 1 + len(hits)))


def test_a_deep_ranking_looks_each_record_up_once(sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Counter[tuple[str, str]]()
    positions = Side.positions

    def counted(side: Side, ids: list[str]) -> dict[str, int]:
        asked.update((side.name, one) for one in ids)
        return positions(side, ids)

    monkeypatch.setattr(Side, "positions", counted)
    monkeypatch.setattr(mixed, "LEAST_DEPTH", 4)
    found, _ = best_of_both(sides, (QUERY, -QUERY), Wanted(k=3), 0.5)
    scores = (PICTURES - PROMPTS) @ QUERY
    expected = [row for row in np.argsort(-scores) if HAVE_PICTURE[row]][:3]
    assert [row_of(record) for record in sides[0].shown(found)] == expected
    assert len(asked) > 24 and max(asked.values()) == 1, "deeper than the first 12 of each side"


def test_a_query_goes_to_both_sides_and_each_hit_shows_both(uris: tuple[str, str]) -> None:
    batch = str(Path(uris[0]).parent / "query.npy")
    pictures, prompts = run_query(SearchSpec(index=uris[0], pair=uris[1], batch=batch, k=20))
    assert (pictures.query, prompts.query) == ("query.npy row 0 in pictures", "query.npy row 0 in prompts")
    best = np.argsort(-(PROMPTS @ QUERY))[:20]
    assert [row_of(hit.record) for hit in prompts] == best.tolist()
    for hit in prompts:
        twin = hit.record.get("pair_text")
        assert twin == (hit.record["text"] if HAVE_PICTURE[row_of(hit.record)] else None)
    assert all(hit.record["pair_text"] == hit.record["text"] for hit in pictures)
    assert "pair_text" in hits_table(pictures).columns


def test_a_record_makes_four_searches(uris: tuple[str, str]) -> None:
    own = record_id(NAMES[3])
    found = run_query(SearchSpec(index=uris[0], pair=uris[1], like=own, k=5))
    spaces = {"pictures": np.where(HAVE_PICTURE[:, None], PICTURES, -PICTURES[3]), "prompts": PROMPTS}
    vectors = {"pictures": PICTURES[3], "prompts": PROMPTS[3]}
    for hits in found:
        home, place = hits.query.removeprefix(f"like {own} of ").split(" in ")
        scores = spaces[place] @ vectors[home]
        scores[3] = -2  # itself is no hit, wherever it is looked for
        assert [row_of(hit.record) for hit in hits] == np.argsort(-scores)[:5].tolist()
    assert len({hits.query for hits in found}) == 4


def test_a_record_of_one_side_is_searched_for_with_what_it_has(uris: tuple[str, str]) -> None:
    own = record_id(NAMES[9])
    assert len(run_query(SearchSpec(index=uris[0], pair=uris[1], like=own))) == 2
    (both,) = run_query(SearchSpec(index=uris[0], pair=uris[1], like=record_id(NAMES[3]), both_weight=0.3, k=5))
    scores = 0.7 * PICTURES @ PICTURES[3] + 0.3 * PROMPTS @ PROMPTS[3]
    assert [row_of(hit.record) for hit in both] == [r for r in np.argsort(-scores) if HAVE_PICTURE[r] and r != 3][:5]
    with pytest.raises(InputError, match="is on one side only"):
        run_query(SearchSpec(index=uris[0], pair=uris[1], like=own, both_weight=0.5))
    with pytest.raises(InputError, match="There is no record 'abc'"):
        run_query(SearchSpec(index=uris[0], pair=uris[1], like="abc"))


def test_a_condition_that_one_side_cannot_have_is_refused_with_its_name(uris: tuple[str, str]) -> None:
    with pytest.raises(SpecError, match="holds for both sides.*In 'pictures': .*no such column"):
        run_query(SearchSpec(index=uris[0], pair=uris[1], text="a", where="txt = 'b'"))


def test_options_of_pairs_are_checked(uris: tuple[str, str]) -> None:
    with pytest.raises(SpecError, match="name the other one with --pair"):
        SearchSpec(index=uris[0], both_weight=0.5)
    with pytest.raises(SpecError, match="a share"):
        SearchSpec(index=uris[0], pair=uris[1], both_weight=2)


def test_what_was_taken_down_on_one_side_is_not_shown_beside_the_other(tmp_path: Path) -> None:
    uris = [write_index(tmp_path, name, unit_vectors(30, seed=seed), NAMES[:30]) for seed, name in enumerate("ab")]
    add_removed(uris[1], [record_id(NAMES[4])])
    np.save(tmp_path / "q.npy", QUERY[None])
    first, second = run_query(SearchSpec(index=uris[0], pair=uris[1], batch=str(tmp_path / "q.npy"), k=30))
    assert len(first) == 30 and len(second) == 29
    assert [hit.record.get("pair_text") for hit in first if row_of(hit.record) == 4] == [None]
    (both,) = run_query(SearchSpec(index=uris[0], pair=uris[1], batch=str(tmp_path / "q.npy"), k=30, both_weight=0.3))
    assert len(both) == 29


def test_a_program_opens_a_pair_and_searches_it(uris: tuple[str, str]) -> None:
    pair = cs.open_pair(*uris)
    assert (pair.index.rows, pair.other.rows) == (int(HAVE_PICTURE.sum()), ROWS) and "Pair of" in repr(pair)
    found = pair.search(embedding=QUERY, k=3, columns="text")
    command = run_query(SearchSpec(index=uris[0], pair=uris[1], batch=str(Path(uris[0]).parent / "query.npy"), k=3))
    for hits, same in zip(found, command, strict=True):
        assert [hit.position for hit in hits] == [hit.position for hit in same]
        assert {frozenset(hit.record) for hit in hits} == {frozenset(["record_id", "text", "pair_text"])}
    mixed = pair.search_both(embedding=QUERY, both_weight=0.3, k=1)
    assert mixed[0].score == pytest.approx(
        (0.7 * PICTURES @ QUERY + 0.3 * PROMPTS @ QUERY)[HAVE_PICTURE].max(), abs=1e-5
    )
    assert len(pair.search(like=record_id(NAMES[3]))) == 4
    for options, message in [({"both_weight": 0}, "above 0 to 1"), ({"unique": 0.9}, "unique knows one index")]:
        with pytest.raises(SpecError, match=message):
            pair.search_both(embedding=QUERY, **options)  # type: ignore[arg-type]


def test_a_prompt_over_a_pair(
    uris: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Searcher, "embed_text", lambda *_: QUERY)
    session = Session.open(SearchSpec(index=uris[0], k=3), "", str(tmp_path))
    for line in (":pair prompts", "words", ":like 2.3"):
        assert session.run(line)
    own = str(np.argsort(-(PROMPTS @ QUERY))[2])
    assert (
        len(session.hits) == (4 if HAVE_PICTURE[int(own)] else 2) and "of prompts in prompts" in session.hits[-1].query
    )
    assert f"with {ROWS} texts in {uris[1]}" in capsys.readouterr().out
    session.run(":both 0.3")
    session.run("words")
    scores = (0.7 * PICTURES + 0.3 * PROMPTS) @ QUERY
    assert row_of(session.hit("1").record) == max(np.flatnonzero(HAVE_PICTURE), key=lambda row: scores[row])
    for line, message in [(":both 2", "a share"), (":both x", "must have a share"), (":open 2.1", "There is no hit")]:
        with pytest.raises(SpecError, match=message):
            session.run(line)
    session.run(":pair")
    session.run("words")
    assert len(session.hits) == 1 and "pair_text" not in session.hits[0][0].record
