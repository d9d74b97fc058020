"""What a query may ask for: filters, thresholds, pages, near-duplicates, weights; numpy is the oracle."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from clip_spark.errors import InputError, SpecError
from clip_spark.index.build.build import build_index
from clip_spark.index.open.parts import MISSING
from clip_spark.index.open.removals import add_removed
from clip_spark.index.specs import IndexSpec
from clip_spark.search.answers import hits_table, json_lines, save_answers, save_sheet
from clip_spark.search.command import combine, queries_of, run_query
from clip_spark.search.contact_sheet import thumbnail
from clip_spark.search.expression import Term, parse_expression
from clip_spark.search.hits import Hit, Hits, Wanted
from clip_spark.search.ranked import leave_out
from clip_spark.search.searcher import Searcher
from clip_spark.search.spec import SearchSpec
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings

ROWS = 600
VECTORS = unit_vectors(ROWS)
VECTORS[1] = VECTORS[0]  # two of a kind
QUERY = unit_vectors(1, seed=4)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("wanted")
    write_embeddings(folder / "emb", VECTORS, numbered(ROWS), shard_rows=250)
    spec = IndexSpec(embeddings=str(folder / "emb"), output=str(folder / "index"))
    build_index(lambda: pytest.fail("no Spark"), spec)
    return str(folder / "index")


@pytest.fixture
def searcher(index: str) -> Searcher:
    return Searcher.open(index)


def found(searcher: Searcher, query: np.ndarray = QUERY, **wanted) -> list[int]:
    return [int(hit.record["text"].split()[1]) for hit in searcher.search(query, Wanted(**wanted))[0]]


def best(allowed: np.ndarray, query: np.ndarray = QUERY) -> list[int]:
    order = np.argsort(-(VECTORS @ query[0]), kind="stable")
    return [int(i) for i in order if allowed[i]]


def test_where_limits_the_records(searcher: Searcher) -> None:
    numbers = np.arange(ROWS)
    assert found(searcher, where="text like '%7'") == best(numbers % 10 == 7)[:10]
    assert found(searcher, where="text = 'text 5' or text = 'text 6'") == best((numbers == 5) | (numbers == 6))
    assert found(searcher, where="n = 99") == []


def test_a_condition_that_cannot_be_used_is_one_sentence(searcher: Searcher) -> None:
    with pytest.raises(SpecError, match="The columns are record_id, text, n"):
        found(searcher, where="colour = 'red'")
    with pytest.raises(SpecError, match="cannot be used, at character 9 .select."):
        found(searcher, where="exists (select * from read_csv('/etc/hostname'))")


def test_pages_follow_each_other_and_the_threshold_ends_them(searcher: Searcher) -> None:
    everything = best(np.ones(ROWS, bool))
    assert found(searcher, k=7, offset=7) == everything[7:14]
    assert [hit.rank for hit in searcher.search(QUERY, Wanted(k=2, offset=7))[0]] == [8, 9]
    assert found(searcher, k=10, offset=ROWS) == []
    scores = np.sort(VECTORS @ QUERY[0])[::-1]
    assert found(searcher, k=10, threshold=float(scores[3:5].mean())) == everything[:4]


def test_near_duplicates_appear_once(searcher: Searcher) -> None:
    query = VECTORS[:1]
    assert set(found(searcher, query, k=2)) == {0, 1}
    kept = found(searcher, query, k=8, unique=0.999)
    assert len({0, 1} & set(kept)) == 1 and len(kept) == 8


def test_near_duplicates_do_not_shorten_a_page(tmp_path: Path) -> None:
    vectors = np.concatenate([np.repeat(VECTORS[:1], 90, axis=0), VECTORS[2:12]])
    write_embeddings(tmp_path / "emb", vectors, numbered(100))
    build_index(
        lambda: pytest.fail("no Spark"), IndexSpec(embeddings=str(tmp_path / "emb"), output=str(tmp_path / "i"))
    )
    hits = Searcher.open(str(tmp_path / "i")).search(VECTORS[:1], Wanted(k=5, unique=0.999))[0]
    assert len(hits) == 5  # one of the ninety, which fill what is looked at first, and four others
    assert hits[0].score > 0.999 > hits[1].score


def test_pages_of_what_is_like_a_record_leave_out_the_record(searcher: Searcher) -> None:
    everything = best(np.ones(ROWS, bool), VECTORS[30:31])
    record_id = searcher.search_embedding(VECTORS[30], 1)[0].record["record_id"]
    pages = [searcher.search_like_wanted(record_id, Wanted(k=3, offset=offset)) for offset in (0, 3)]
    assert [int(hit.record["text"].split()[1]) for hits in pages for hit in hits] == everything[1:7]
    assert [hit.rank for hits in pages for hit in hits] == [1, 2, 3, 4, 5, 6]


def test_a_hit_that_is_left_out_shortens_only_its_own_row() -> None:
    scores = np.array([[0.9, 0.8, 0.7], [0.6, 0.5, 0.4]], np.float32)
    kept = leave_out(scores, np.array([[4, 7, 1], [2, 3, MISSING]]), 7)
    np.testing.assert_array_equal(kept[1], [[4, 1, MISSING], [2, 3, MISSING]])
    np.testing.assert_array_equal(kept[0][:, :2], np.array([[0.9, 0.7], [0.6, 0.5]], np.float32))


def test_hits_are_a_sequence_a_table_and_a_piece_of_a_page(pictures: tuple[Hit, ...]) -> None:
    hits = Hits(pictures, "<q>")
    assert (len(hits), hits[-1], list(hits), hits[:1].query) == (2, pictures[1], list(pictures), "<q>")
    assert hits.to_pandas()[["query", "rank", "record_id"]].values.tolist() == [["<q>", 1, "1"], ["<q>", 2, "2"]]
    piece = hits._repr_html_()
    assert "&lt;q&gt;" in piece and piece.count("data:image/png;base64,") == 1


def test_a_picture_inside_a_tar_has_a_thumbnail(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "red.png")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "red.png", "red.png")
    with tarfile.open(tmp_path / "a.tar") as tar:
        member = tar.getmembers()[0]
    record = {"uri": f"tar://red.png::{tmp_path / 'a.tar'}", "offset": member.offset_data, "size": member.size}
    assert thumbnail(record).getpixel((0, 0)) == (255, 0, 0, 255)
    assert thumbnail({"uri": record["uri"]}).size == (9, 9)
    assert thumbnail({**record, "offset": 0}) is None


def test_expressions() -> None:
    assert parse_expression('"beach" + 0.5*img.jpg - "a - b" + id:0f') == [
        Term(1, "text", "beach"), Term(0.5, "image", "img.jpg"), Term(-1, "text", "a - b"), Term(1, "like", "0f"),
    ]  # fmt: skip
    for wrong in ('"a" "b"', '- "a"', '"a', ""):
        with pytest.raises(SpecError):
            parse_expression(wrong)


def test_combined_queries_are_normalised_sums(searcher: Searcher) -> None:
    ids = [searcher.search_embedding(VECTORS[row], 1)[0].record["record_id"] for row in (10, 20)]
    terms = [Term(1, "like", ids[0]), Term(0.5, "like", ids[1]), Term(-0.5, "like", ids[1])]
    vector, less = combine(searcher, terms)
    expected = VECTORS[10] + 0.5 * VECTORS[20]
    np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)
    np.testing.assert_allclose(less, 0.5 * VECTORS[[20]], atol=1e-6)


def test_what_was_removed_is_gone_at_once_and_for_good(tmp_path: Path) -> None:
    write_embeddings(tmp_path / "emb", VECTORS, numbered(ROWS))
    spec = IndexSpec(embeddings=str(tmp_path / "emb"), output=str(tmp_path / "index"))
    build_index(lambda: pytest.fail("no Spark"), spec)
    searcher = Searcher.open(str(tmp_path / "index"))
    first = searcher.search(QUERY, Wanted(k=1))[0][0].record
    add_removed(str(tmp_path / "index"), [first["record_id"]])
    expected = best(np.ones(ROWS, bool))[1:11]
    assert found(Searcher.open(str(tmp_path / "index"))) == expected
    searcher.parts._removals.refresh()  # as its thread does every half second
    assert found(searcher) == expected
    assert found(searcher, where="n = 2", k=ROWS) == best(np.ones(ROWS, bool))[1:]
    with pytest.raises(InputError, match="was removed"):
        searcher.search_like(first["record_id"])
    build_index(lambda: pytest.fail("no Spark"), IndexSpec(**{**vars(spec), "metric": "l2", "overwrite": True}))
    assert found(Searcher.open(str(tmp_path / "index"))) == expected


def test_a_hit_keeps_its_score_beside_that_of_its_record() -> None:
    answers = [Hits((Hit(1, 0.25, {"record_id": "a", "text": "dog", "score": 7.0}),), "q")]
    assert json.loads(json_lines(answers)) == {
        "query": "q", "rank": 1, "score": 0.25, "record_id": "a", "text": "dog", "record_score": 7.0,
    }  # fmt: skip


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_saved_hits(tmp_path: Path, searcher: Searcher, ending: str) -> None:
    answers = [Hits(searcher.search(QUERY, Wanted(k=3))[0].found, "one & two")]
    uri = str(tmp_path / f"hits.{ending}")
    save_answers(uri, answers)
    texts = [hit.record["text"] for hit in answers[0]]
    assert [row[2] for row in hits_table(answers[0]).rows] == texts
    if ending == "parquet":
        assert pq.read_table(uri).column("text").to_pylist() == texts
    else:
        content = Path(uri).read_text()
        assert all(text in content for text in texts) and "one & two" in content


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Hit, ...]:
    Image.new("RGB", (320, 200), "red").save(tmp_path / "red.png")
    uris = [str(tmp_path / "red.png"), str(tmp_path / "lost.png")]
    records = [{"record_id": str(rank), "uri": uri, "caption": "<b>"} for rank, uri in enumerate(uris, 1)]
    return tuple(Hit(rank, 0.5, record) for rank, record in enumerate(records, 1))


def test_a_contact_sheet_as_a_page(tmp_path: Path, pictures: tuple[Hit, ...]) -> None:
    save_sheet(str(tmp_path / "sheet.html"), [Hits(pictures, "one & two")])
    page = (tmp_path / "sheet.html").read_text()
    assert page.count("data:image/png;base64,") == 1 and "lost.png" in page
    assert "one &amp; two" in page and "1. &lt;b&gt;" in page and "<b>0.500</b>" in page


def test_a_contact_sheet_as_a_picture(tmp_path: Path, pictures: tuple[Hit, ...]) -> None:
    save_sheet(str(tmp_path / "sheet.png"), [Hits(pictures, "one"), Hits(pictures * 4, "two")])
    with Image.open(tmp_path / "sheet.png") as sheet:
        colours = {colour: count for count, colour in sheet.getcolors(1 << 20)}
        assert colours[(255, 0, 0)] == 5 * 160 * 100
        assert sheet.height > 3 * 100 and sheet.width > 6 * 160


def test_embeddings_from_a_file_are_queries(tmp_path: Path, index: str) -> None:
    np.save(tmp_path / "q.npy", VECTORS[[5, 9]])
    spec = SearchSpec(index=index, batch=str(tmp_path / "q.npy"), k=1, columns=("text",))
    answers = run_query(spec)
    assert [hits.query for hits in answers] == ["q.npy row 0", "q.npy row 1"]
    assert [set(hits[0].record) for hits in answers] == [{"record_id", "text"}] * 2
    assert [hits[0].record["text"] for hits in answers] == ["text 5", "text 9"]
    np.save(tmp_path / "q.npy", np.zeros((2, 32), np.float32))
    with pytest.raises(SpecError, match="Query 0 has length 0"):
        run_query(spec)
    np.save(tmp_path / "q.npy", np.arange(32))
    with pytest.raises(InputError, match="must hold floats"):
        run_query(spec)
    (tmp_path / "q.npy").write_text("dog")
    with pytest.raises(InputError, match="is not a .npy file"):
        run_query(spec)
    np.savez(tmp_path / "z.npz", a=VECTORS[:1])
    (tmp_path / "q.npy").write_bytes((tmp_path / "z.npz").read_bytes())
    with pytest.raises(InputError, match="is not a .npy file"):
        run_query(spec)
    with pytest.raises(InputError, match="is no text; write one query per line"):
        run_query(SearchSpec(index=index, batch=str(tmp_path / "z.npz")))
    for kind in (np.float16, np.float64):
        np.save(tmp_path / "q.npy", VECTORS[[5, 9]].astype(kind))
        assert [hits[0].record["text"] for hits in run_query(spec)] == ["text 5", "text 9"]
    np.save(tmp_path / "q.npy", 3 * VECTORS[[5, 9]])
    with pytest.raises(SpecError, match="Query 0 has length 3; queries must be finite and of length 1"):
        run_query(spec)
    with pytest.raises(SpecError, match="no column 'colour'"):
        run_query(SearchSpec(index=index, batch=str(tmp_path / "q.npy"), columns=("colour",)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_queries_from_a_file_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "q.txt").write_bytes("café\r\n\r\n a fox \r\n".encode(encoding))
    asked = queries_of(SearchSpec(index="i", batch=str(tmp_path / "q.txt")))
    assert [name for name, _ in asked] == ["café", "a fox"]


def test_a_search_needs_one_way_to_ask() -> None:
    with pytest.raises(SpecError, match="found none"):
        run_query(SearchSpec(index="i"))
    with pytest.raises(SpecError, match="found --text and --like"):
        SearchSpec(index="i", text="a", like="b")
    for name in ("save", "show"):
        with pytest.raises(SpecError, match=f"--{name} is 'hits.doc'; it must be a file"):
            SearchSpec(index="i", text="a", **{name: "hits.doc"})
