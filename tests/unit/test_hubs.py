"""An index that has learnt its hubs ranks by cosine minus penalty, whatever has happened to it since."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip_spark.datasets.manifest import read_manifest
from clip_spark.errors import InputError, SpecError
from clip_spark.index.build.build import build_index, preview
from clip_spark.index.build.null_tables import _best_scores, about_nothing
from clip_spark.index.build.penalties import PenaltyWriter, Piece
from clip_spark.index.build.references import read_references
from clip_spark.index.build.round_trip import RAW, weakest_of_good
from clip_spark.index.change.calibrate import calibrate_index
from clip_spark.index.change.remove import remove_records
from clip_spark.index.files.calibration import Calibration
from clip_spark.index.files.layout import IndexFile, IndexInfo, SearchSettings, read_index
from clip_spark.index.files.local_copy import verify_files
from clip_spark.index.open.meaning import ground, relevant
from clip_spark.index.open.parts import MISSING
from clip_spark.index.open.ranking import open_ranking
from clip_spark.index.specs import CalibrateSpec, IndexSpec, RemoveSpec
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import write_embeddings

TOPICS, DIM, PICTURES = 60, 24, 480
RNG = np.random.default_rng(5)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


CENTRES = RNG.normal(size=(TOPICS, DIM))
GAP = 0.7 * RNG.normal(size=DIM)
topics = RNG.integers(0, TOPICS, PICTURES)
pictures = unit(CENTRES[topics] + 0.8 * RNG.normal(size=(PICTURES, DIM)) + GAP)
texts = unit(np.repeat(CENTRES, 3, axis=0) + 0.6 * RNG.normal(size=(3 * TOPICS, DIM)))
hub = unit(pictures.mean(axis=0, keepdims=True))
NAMES = [f"topic {row // 3} {row % 3}" for row in range(len(texts))]


def no_spark() -> Any:
    raise AssertionError("a small index needs no session")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Texts, a hub among them, and pictures of both halves; an index in two parts that the first half has taught."""
    write_embeddings(tmp_path / "texts", np.concatenate([texts[:120], hub]), [*NAMES[:120], "a hub"])
    write_embeddings(tmp_path / "more", texts[120:], NAMES[120:])
    write_embeddings(tmp_path / "pictures", pictures[:240], [f"{n}.jpg" for n in range(240)], modality="image")
    build(tmp_path, queries=str(tmp_path / "pictures"))
    return tmp_path


def build(folder: Path, name: str = "texts", **options: Any) -> None:
    given = {"output": str(folder / "index"), "parts": 2, "index_key": "Flat", **options}
    build_index(no_spark, IndexSpec(embeddings=(str(folder / name),), **given))


def opened(folder: Path) -> Searcher:
    return Searcher.open(str(folder / "index"))


def expected(searcher: Searcher, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> np.ndarray:
    """The best k of all items by cosine minus penalty, computed from all stored vectors and queries."""
    info = searcher.info
    learnt = info.calibration
    assert learnt is not None
    vectors = searcher.parts.vectors.take(np.arange(info.rows))
    taught = read_references(searcher.manifest.uri, info.references, info.dim)
    nearest = np.sort(vectors @ taught.T, axis=1)[:, -learnt.nearest :].mean(axis=1)
    scores = queries @ vectors.T - (learnt.strength * nearest).astype(np.float16)
    if allowed is not None:
        scores[:, ~allowed] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def test_pictures_get_texts_by_cosine_minus_penalty_and_see_the_cosine(folder: Path) -> None:
    searcher = opened(folder)
    scores, positions = searcher.search_positions(pictures[240:], Wanted(k=7), kind="image")
    assert searcher.info.calibration is not None and searcher.info.calibration.strength > 0
    assert len(searcher.info.parts) == 2 and (positions == expected(searcher, pictures[240:], 7)).all()
    vectors = searcher.parts.vectors.take(positions.reshape(-1)).reshape(*positions.shape, -1)
    assert np.allclose(scores, np.einsum("qd,qkd->qk", pictures[240:], vectors), atol=1e-6)


def test_texts_and_queries_of_unknown_kind_are_not_corrected_nor_is_who_asks_for_cosines(folder: Path) -> None:
    searcher, asked = opened(folder), pictures[240:260]
    plain = searcher.parts.search(asked, 5)[1]
    for kind, wanted in (("text", Wanted(k=5)), ("", Wanted(k=5)), ("image", Wanted(k=5, raw=True))):
        assert (searcher.search_positions(asked, wanted, kind=kind)[1] == plain).all()
    assert (searcher.search_positions(asked, Wanted(k=5), kind="image")[1] != plain).any()


def test_first_texts_are_right_more_often_than_by_cosine(folder: Path) -> None:
    searcher = opened(folder)

    def right(wanted: Wanted) -> float:
        hits = searcher.search(pictures[240:], replace(wanted, columns=("text",)), kind="image")
        first = [one[0].record["text"].split()[1] for one in hits]
        return float(np.mean([name == str(topic) for name, topic in zip(first, topics[240:], strict=True)]))

    assert right(Wanted(k=1)) > right(Wanted(k=1, raw=True)) + 0.1


def test_a_threshold_is_one_of_cosines_and_hits_behind_those_below_it_move_up(folder: Path) -> None:
    searcher, asked = opened(folder), pictures[240:]
    everything = searcher.parts.search(asked, searcher.rows)
    line = float(np.median(everything[0][:, 5]))
    scores, positions = searcher.search_positions(asked, Wanted(k=8, threshold=line), kind="image")
    found = positions != MISSING
    wanted = np.minimum((everything[0] >= line).sum(axis=1), 8)
    assert (found.sum(axis=1) == wanted).all() and (scores[found] >= line - 1e-6).all()
    assert (np.diff(found.astype(int), axis=1) <= 0).all()  # what is missing comes last


def test_conditions_and_near_duplicates_work_on_the_corrected_ranking(folder: Path) -> None:
    searcher, asked = opened(folder), pictures[240:300]
    _, positions = searcher.search_positions(asked, Wanted(k=4, where="text like '% 0'"), kind="image")
    allowed = np.array([name.endswith(" 0") for name in [*NAMES[:120], "a hub"]])
    assert (positions == expected(searcher, asked, 4, allowed)).all()
    unique = searcher.search_positions(asked, Wanted(k=4, unique=1.0), kind="image")[1]
    assert (unique == expected(searcher, asked, 4)).all()


def test_a_text_that_all_pictures_find_is_told_and_may_be_left_out(folder: Path) -> None:
    searcher = opened(folder)
    learnt = searcher.info.calibration
    assert learnt is not None and learnt.hubs[0]["name"] == "a hub" and 120 in learnt.quarantined
    assert learnt.hubs[0]["share"] > 0.5 and learnt.hubs[0]["asked_by"][0].endswith(".jpg")
    wanted = Wanted(k=10, quarantine_hubs=True, raw=True)
    assert 120 in searcher.search_positions(pictures[240:], replace(wanted, quarantine_hubs=False))[1]
    left = searcher.search_positions(pictures[240:], wanted, kind="image")[1]
    assert 120 not in left and (left != MISSING).all()
    tables = {table.title: table for table in preview(read_manifest(str(folder / "index")))}
    assert tables["greatest hubs"].rows[0][0] == "a hub"


def test_each_hit_says_how_often_an_unrelated_pair_scores_as_high(folder: Path) -> None:
    searcher = opened(folder)
    hits = searcher.search(pictures[240:], Wanted(k=121), kind="image")
    chances = np.array([[hit.chance for hit in one] for one in hits])
    assert (np.diff(chances, axis=1) >= 0).all() and chances.min() > 0 and chances.max() <= 1
    shares = [(chances <= level).mean() for level in (0.02, 0.1, 0.5)]  # most pairs are unrelated
    assert np.allclose(shares, (0.02, 0.1, 0.5), rtol=0.3)
    deep = searcher.search(pictures[240:], Wanted(k=3, offset=2), kind="image")
    assert [[hit.chance for hit in one] for one in deep] == [[hit.chance for hit in one[2:5]] for one in hits]
    assert "chance" in hits[0].to_arrow().column_names
    assert all(hit.chance is None for hit in searcher.search(pictures[240:241], Wanted(), kind="text")[0])


def test_relevance_cuts_queries_about_nothing_and_not_those_about_something(folder: Path) -> None:
    searcher, random = opened(folder), np.random.default_rng(8)
    nothing = unit(1.3 * random.normal(size=(400, DIM)) + GAP)  # pictures of what nobody knows
    near = unit(texts[:120].reshape(40, 3, DIM).mean(axis=1))  # what each topic's texts are about
    wanted = Wanted(k=10, relevant=0.95)
    returned = [float((searcher.search_positions(asked, wanted, kind="image")[1] != MISSING).any(axis=1).mean())
                for asked in (nothing, near)]  # fmt: skip
    assert returned[0] <= 0.08 and returned[1] >= 0.9
    whole = searcher.search_positions(near, Wanted(k=10), kind="image")[1]
    cut = searcher.search_positions(near, wanted, kind="image")[1]
    assert ((cut == whole) | (cut == MISSING)).all() and (cut == MISSING).any()


def test_relevance_is_refused_where_the_index_has_not_learnt_it(folder: Path) -> None:
    build(folder, output=str(folder / "plain"))
    for searcher, kind in ((Searcher.open(str(folder / "plain")), "image"), (opened(folder), "text")):
        with pytest.raises(SpecError, match="calibrate-index"):
            searcher.search(pictures[:1], Wanted(relevant=0.9), kind=kind)
    with pytest.raises(SpecError, match="0 or from 0.5 to 0.99"):
        Wanted(relevant=1.0)


def test_what_an_earlier_version_has_learnt_of_relevance_is_not_taken_for_what_is_learnt_now(folder: Path) -> None:
    learnt = opened(folder).info.calibration
    assert learnt is not None and Calibration.from_json(json.loads(json.dumps(learnt.to_json()))) == learnt
    before = {key: value for key, value in learnt.to_json().items() if key != "centre"}
    assert Calibration.from_json({**before, "nothing": [0.1, 0.2]}) == replace(learnt, nothing=(), centre=())


def test_no_hit_behind_one_that_is_not_relevant_is_relevant() -> None:
    learnt = Calibration("text", 0, 4, nothing=((0.5,) * 6, (0.4,) * 6, (0.1,) * 6), centre=(1.0,))
    scores = np.array([[0.9, 0.65, 0.6, 0.5, 0.4], [0.69, 0.68, 0.67, 0.66, 0.65], [0.9, 0.5, 0.6, 0.6, 0.6]])
    found = relevant(learnt, scores, np.array([0.2, 0.2, 0.2]), 0.9)
    assert found.tolist() == [[True] * 5, [False] * 5, [True] + [False] * 4]


def test_a_query_that_is_near_to_known_ones_needs_less_and_itself_is_none_of_them() -> None:
    known, centre = unit(np.eye(3)), np.array([0.2, 0, 0], np.float32)
    assert np.allclose(ground(known, centre, known), [0.2, 0, 0])
    near = unit(np.array([[0.8, 0.6, 0.0]]))
    assert np.allclose(ground(near, centre, known), 0.16 - 0.4)


def test_what_is_appended_is_corrected_too_by_the_queries_that_the_index_has_kept(folder: Path) -> None:
    before = read_index(str(folder / "index"))[1]
    (folder / "pictures" / "manifest.json").unlink()  # they are needed no more
    build_index(no_spark, IndexSpec(embeddings=(str(folder / "more"),), output=str(folder / "index"), append=True))
    searcher = opened(folder)
    found = searcher.search_positions(pictures[240:], Wanted(k=6), kind="image")[1]
    assert searcher.info.rows == 181 and (found == expected(searcher, pictures[240:], 6)).all()
    assert searcher.info.penalties[: len(before.penalties)] == before.penalties
    verify_files(searcher.manifest.uri, searcher.info)


def test_what_is_removed_is_no_hit_and_its_erasure_leaves_neither_penalty_nor_name(folder: Path) -> None:
    gone = opened(folder).records.take(np.array([7, 120]), ["record_id"]).column(0).to_pylist()
    remove_records(no_spark, RemoveSpec(index=str(folder / "index"), ids=tuple(gone)))
    live = np.ones(121, bool)
    live[[7, 120]] = False
    taken_down = opened(folder)
    found = taken_down.search_positions(pictures[240:], Wanted(k=6), kind="image")[1]
    assert (found == expected(taken_down, pictures[240:], 6, live)).all()
    remove_records(no_spark, RemoveSpec(index=str(folder / "index"), compact=True))
    searcher = opened(folder)
    assert (searcher.search_positions(pictures[240:], Wanted(k=6), kind="image")[1] == found).all()
    ranking, learnt = searcher.ranking(Wanted(), "image"), searcher.info.calibration
    assert not ranking.penalties.take(np.array([7, 120])).any() and ranking.penalties.take(np.array([8])).all()
    assert learnt is not None and 120 not in learnt.quarantined and "a hub" not in [one["name"] for one in learnt.hubs]
    build_index(no_spark, IndexSpec(embeddings=(str(folder / "more"),), output=str(folder / "index"), append=True))
    assert opened(folder).search_positions(pictures[240:], Wanted(k=6), kind="image")[1].max() > 120


def test_an_index_that_is_built_again_remembers_what_it_was_taught(folder: Path) -> None:
    build(folder, queries="", overwrite=True, parts=1)
    searcher = opened(folder)
    found = searcher.search_positions(pictures[240:], Wanted(k=6), kind="image")[1]
    assert searcher.info.calibration is not None and (found == expected(searcher, pictures[240:], 6)).all()


def test_a_finished_index_is_calibrated_once_for_the_same_queries(folder: Path) -> None:
    spec = CalibrateSpec(index=str(folder / "plain"), queries=str(folder / "pictures"))
    build(folder, output=spec.index)
    plain = read_manifest(spec.index)
    tables = calibrate_index(no_spark, spec)
    taught = read_manifest(spec.index)
    assert [table.title for table in tables] == ["hubs", "greatest hubs"]
    assert taught.content_fingerprint != plain.content_fingerprint  # tags made before are made again
    assert calibrate_index(no_spark, spec) == tables and read_manifest(spec.index) == taught
    one, other = (Searcher.open(str(folder / name)) for name in ("index", "plain"))
    asked = pictures[240:]
    pairs = [each.search_positions(asked, Wanted(k=6), kind="image") for each in (one, other)]
    assert (pairs[0][1] == pairs[1][1]).all()


def test_queries_that_can_teach_nothing_are_refused(folder: Path) -> None:
    write_embeddings(folder / "few", pictures[:20], [f"{n}.jpg" for n in range(20)], modality="image")
    for name, words in (("texts", "of the other kind"), ("few", "at least 64")):
        with pytest.raises(InputError, match=words):
            calibrate_index(no_spark, CalibrateSpec(index=str(folder / "index"), queries=str(folder / name)))


def test_the_weakest_setting_with_most_of_the_gain_is_taken_and_none_where_there_may_be_no_gain() -> None:
    raw = np.tile([0.2, 0.4], 50)
    ways = {RAW: raw, (0.25, 4): raw + 0.1, (0.5, 8): raw + 0.19, (0.5, 4): raw + 0.17, (1.0, 4): raw + 0.2}
    assert weakest_of_good(ways) == (0.5, 4)
    noise = np.tile([0.3, -0.29], 50)
    assert weakest_of_good({RAW: raw, (0.5, 4): raw + noise}) == RAW
    assert weakest_of_good({RAW: raw, (0.5, 4): raw - 0.1}) == RAW
    assert weakest_of_good({RAW: raw, (0.5, 4): raw + 0.01}) == RAW


def test_where_nothing_is_corrected_no_vector_is_read(tmp_path: Path) -> None:
    missing = IndexFile("nowhere.index", 0, 5, 1, "x")
    info = IndexInfo({}, "text", DIM, "ip", "Flat", SearchSettings(), (missing,), references=(missing,))
    file, least = PenaltyWriter(str(tmp_path), "g", info, nearest=4, strength=0.0)((0, Piece(missing, 0, 5)))
    assert least == 0 and not np.fromfile(tmp_path / file.path, np.float16).any() and file.rows == 5


def test_tables_of_an_exact_index_are_those_of_its_ranking(folder: Path) -> None:
    """One pass over all vectors finds what a ranking does that looks at more and more candidates."""
    remove_records(no_spark, RemoveSpec(index=str(folder / "index"), where="text like '%7 1'"))
    searcher = opened(folder)
    parts, ranking = searcher.parts, open_ranking(searcher.manifest.uri, searcher.info, searcher.parts)
    assert ranking is not None and parts.live_rows < parts.rows
    for k in (1, 20, parts.rows):
        drawn = about_nothing(pictures[:240], np.random.default_rng(k))
        found = _best_scores(parts, ranking, drawn, k)
        np.testing.assert_allclose(found, ranking.search(drawn, k)[0], atol=1e-6)
