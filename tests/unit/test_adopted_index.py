"""adopt-index: Faiss files of others are served as they are; what cannot be served is a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark.analysis.map.inputs import inputs_of
from clip_spark.analysis.migrate.sets import embed_again
from clip_spark.analysis.migrate.spec import MigrateSpec
from clip_spark.analysis.publish.contents import Contents
from clip_spark.errors import InputError, ModelError, OutputError, SpecError
from clip_spark.index.build.build import build_index
from clip_spark.index.change import compact
from clip_spark.index.change.calibrate import calibrate_index
from clip_spark.index.change.other import build_other
from clip_spark.index.change.remove import remove_records
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.files.layout import read_index
from clip_spark.index.imported import foreign_file
from clip_spark.index.open.parts import open_parts
from clip_spark.index.open.records import RecordReader
from clip_spark.index.open.removals import read_removed
from clip_spark.index.specs import CalibrateSpec, IndexSpec, RemoveSpec
from clip_spark.runtime.child_process import Apart
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher
from tests.helpers_adopted import adopt, write_foreign
from tests.helpers_embeddings import numbered, write_embeddings
from tests.helpers_imported import imports_run_here, metadata, save, take_index, take_over, unit
from tests.helpers_spark import in_this_process

ROWS = 600
EXACT = ("Flat", "IDMap,Flat", "IDMap2,Flat", "HNSW8", "IDMap,HNSW8", "IVF8,Flat")
LOSSY = (
    "SQ8",
    "SQfp16",
    "IVF8,SQ8",
    "IVF8_HNSW4,SQ8",
    "IVF8,PQ3x6",
    "OPQ3_3,IVF8,PQ3x6",
    "HNSW8_SQ8",
    "PCAR3,IVF8,Flat",
)


@pytest.fixture(scope="module")
def child() -> Iterator[foreign_file.Child]:
    """One for all tests: it takes a second or more to start."""
    with Apart(foreign_file.answer, foreign_file.limits(1 << 20)) as child:
        yield child


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, child: foreign_file.Child) -> None:
    imports_run_here(monkeypatch)
    monkeypatch.setattr(foreign_file, "_child_of", lambda path, size: child)
    monkeypatch.setattr(compact, "map_items", lambda spark, step, items, work, kept: [work(item) for item in items])


@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("key", EXACT + LOSSY)
def test_any_kind_is_served_with_its_own_bytes(tmp_path: Path, key: str, metric: str) -> None:
    vectors = unit(ROWS)
    write_foreign(tmp_path / "in/knn.index", key, vectors, metric)
    made = adopt(tmp_path / "in", tmp_path / "index", modality="text")
    _, info = read_index(made.uri)
    part = tmp_path / "index" / info.parts[0].path
    assert part.read_bytes() == (tmp_path / "in/knn.index").read_bytes() and info.metric == metric
    with Searcher.open(made.uri) as searcher:
        hits = searcher.search_embedding(vectors[77], 5)
    best = np.argsort(-(vectors @ vectors[77]), kind="stable")[:5]
    found = [int(hit.record["record_id"] is not None and _row(made.uri, hit.record["record_id"])) for hit in hits]
    if key in EXACT:
        assert found == best.tolist()
        np.testing.assert_allclose([hit.score for hit in hits], vectors[best] @ vectors[77], atol=2e-6)
    else:
        assert 77 in found or key.endswith("PQ3x6")
        assert all(vectors[row] @ vectors[77] > 0.9 for row in found)


def _row(uri: str, record_id: str) -> int:
    _, info = read_index(uri)
    return int(RecordReader(uri, info.records, info.columns).find(record_id))


@pytest.mark.parametrize("key", EXACT + LOSSY)
def test_what_is_taken_down_or_left_out_by_a_condition_is_never_found(tmp_path: Path, key: str) -> None:
    vectors = unit(ROWS)
    write_foreign(tmp_path / "in/image.index", key, vectors)
    for number in range(2):
        metadata(tmp_path / "in", number, ROWS // 2)
    made = adopt(tmp_path / "in", tmp_path / "index")
    with Searcher.open(made.uri) as searcher:
        first = searcher.search_embedding(vectors[3], 1)[0].record["record_id"]
    remove_records(lambda: None, RemoveSpec(index=made.uri, ids=(first,)))
    with Searcher.open(made.uri) as searcher:
        assert first not in {hit.record["record_id"] for hit in searcher.search_embedding(vectors[3], ROWS)}
        some = searcher.search(vectors[3:4], Wanted(k=9, where="caption like 'picture 1-%'"))[0]
    assert len(some) == 9 and all(str(hit.record["caption"]).startswith("picture 1-") for hit in some)


@pytest.mark.parametrize("key", EXACT + LOSSY)
def test_vectors_come_back_of_length_1(tmp_path: Path, key: str) -> None:
    vectors = unit(ROWS)
    write_foreign(tmp_path / "x.index", key, vectors)
    _, info = read_index(adopt(tmp_path / "x.index", tmp_path / "index", modality="text").uri)
    parts = open_parts(str(tmp_path / "index"), info)
    rows = np.array([5, 1, 5, 599])
    found = parts.vectors.take(rows)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    if key in EXACT:
        np.testing.assert_array_equal(found, vectors[rows])
    else:
        assert (np.einsum("ij,ij->i", found, vectors[rows]) > 0.9).all()
    parts.close()


@pytest.mark.parametrize("key", [*EXACT, "IVF8,SQ8", "SQ8"])
def test_erased_records_leave_the_file_or_a_sentence_says_that_they_cannot(tmp_path: Path, key: str) -> None:
    vectors = unit(ROWS)
    write_foreign(tmp_path / "x.index", key, vectors)
    made = adopt(tmp_path / "x.index", tmp_path / "index", modality="text")
    _, info = read_index(made.uri)
    gone = (
        RecordReader(made.uri, info.records, info.columns).take(np.array([3, 500]), ["record_id"]).column(0).to_pylist()
    )
    spec = RemoveSpec(index=made.uri, ids=tuple(gone), compact=True)
    if "HNSW" in key:
        with pytest.raises(InputError, match="a graph out of which nothing can be erased"):
            remove_records(lambda: None, spec)
        assert not read_removed(made.uri)  # a command that is refused has done nothing
        return
    remove_records(lambda: None, spec)
    _, info = read_index(made.uri)
    parts = open_parts(made.uri, info)
    _, found = parts.search(vectors[[3, 4, 499, 501]], 1)
    assert 3 not in found and 500 not in found
    assert key not in EXACT or found[1:].ravel().tolist() == [4, 499, 501]
    parts.close()


def test_parts_of_autofaiss_are_one_index(tmp_path: Path) -> None:
    vectors = unit(ROWS)
    faiss = load_faiss()
    empty = faiss.index_factory(3, "IVF8,Flat", faiss.METRIC_INNER_PRODUCT)
    empty.train(vectors)
    for number, rows in enumerate(np.array_split(np.arange(ROWS), 12)):  # knn.index10 comes before knn.index2 by name
        index = faiss.clone_index(empty)
        index.add_with_ids(vectors[rows], rows)
        (tmp_path / "in").mkdir(exist_ok=True)
        faiss.write_index(index, str(tmp_path / f"in/knn.index{number}"))
    save(tmp_path / "ids.npy", np.arange(ROWS) * 10)
    made = adopt(tmp_path / "in", tmp_path / "index", modality="text", metadata=str(tmp_path / "ids.npy"))
    _, info = read_index(made.uri)
    assert [part.start for part in info.parts] == list(range(0, ROWS, 50))
    with Searcher.open(made.uri) as searcher:
        hits = searcher.search_embedding(vectors[123], 4)
    best = np.argsort(-(vectors @ vectors[123]), kind="stable")[:4]
    assert [hit.record["id"] for hit in hits] == [str(10 * row) for row in best]


def test_parts_that_do_not_go_on_or_were_trained_apart_are_a_sentence(tmp_path: Path) -> None:
    vectors = unit(ROWS)
    for number in range(2):
        write_foreign(tmp_path / f"twice/knn.index{number}", "Flat", vectors)
        write_foreign(tmp_path / f"apart/knn.index{number}", "IVF4,Flat", unit(ROWS, number), first=number * ROWS)
    with pytest.raises(InputError, match="begin at 0 where 600 was due; the ids of its parts must go on"):
        adopt(tmp_path / "twice", tmp_path / "index", modality="text")
    with pytest.raises(InputError, match="were trained apart; they are no parts of one index"):
        adopt(tmp_path / "apart", tmp_path / "index", modality="text")
    write_foreign(tmp_path / "late.index", "IVF4,Flat", vectors, first=7)
    with pytest.raises(InputError, match="begin at 7 where 0 was due"):
        adopt(tmp_path / "late.index", tmp_path / "index", modality="text")
    assert not [file for file in (tmp_path / "index").rglob("*") if file.is_file() and file.name != "plan.json"]


def test_clip_grams_entries_become_texts(tmp_path: Path) -> None:
    write_foreign(tmp_path / "in/knn.index", "HNSW8", unit(20))
    (tmp_path / "in/entries.txt").write_text("".join(f"n-gram {n}\n" for n in range(20)))
    made = adopt(tmp_path / "in", tmp_path / "index")
    with Searcher.open(made.uri) as searcher:
        assert searcher.search_embedding(unit(20)[7], 1)[0].record["text"] == "n-gram 7"
    (tmp_path / "in/entries.txt").write_text("only one\n")
    with pytest.raises(InputError, match="has 1 lines and beside it are 20 vectors"):
        adopt(tmp_path / "in", tmp_path / "other")


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (np.array([1, 2, 2]), "1 ids beside .* come more than once"),
        (np.array([[1, 2, 3]]), r"an array of shape \(1, 3\)"),
        (np.array([1, 2]), r"has 3 vectors and .* shape \(2,\)"),
    ],
)
def test_ids_must_tell_records_apart(tmp_path: Path, ids: np.ndarray, told: str) -> None:
    write_foreign(tmp_path / "x.index", "Flat", unit(3))
    save(tmp_path / "ids.npy", ids)
    with pytest.raises(InputError, match=told):
        adopt(tmp_path / "x.index", tmp_path / "index", modality="text", metadata=str(tmp_path / "ids.npy"))


def test_an_id_column_names_records_and_must_have_a_value_in_each_row(tmp_path: Path) -> None:
    write_foreign(tmp_path / "x.index", "Flat", unit(3))
    for ids, told in ((["ä", None, "猫"], "row=1' has no id"), (["ä", "ä", "猫"], "1 ids beside")):
        pq.write_table(pa.table({"key": ids, "caption": ["a", "b", "c"]}), tmp_path / "m.parquet")
        with pytest.raises(InputError, match=told):
            adopt(tmp_path / "x.index", tmp_path / "bad", id_column="key", metadata=str(tmp_path / "m.parquet"))
    pq.write_table(pa.table({"key": [7, 8, 9], "caption": ["a", "b", "c"]}), tmp_path / "m.parquet")
    made = adopt(tmp_path / "x.index", tmp_path / "good", id_column="key", metadata=str(tmp_path / "m.parquet"))
    with Searcher.open(made.uri) as searcher:
        assert searcher.search_embedding(unit(3)[2], 1)[0].record["key"] == 9


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("PQ3x4", "kind IndexPQ, which cannot be served as it is"),
        ("IVF4,Flat,RFlat", "kind IndexRefineFlat, which cannot be served as it is"),
        ("IDMap,IVF4,Flat", "it maps ids of lists"),
    ],
)
def test_kinds_that_cannot_be_served_are_a_sentence(tmp_path: Path, key: str, told: str) -> None:
    write_foreign(tmp_path / "x.index", key, unit(ROWS))
    with pytest.raises(InputError, match=told):
        adopt(tmp_path / "x.index", tmp_path / "index", modality="text")


def test_what_does_not_fit_is_a_sentence(tmp_path: Path) -> None:
    write_foreign(tmp_path / "long.index", "Flat", 7 * unit(20))
    with pytest.raises(InputError, match="lengths from 7 to 7, so its scores are no cosines; import-index --normalise"):
        adopt(tmp_path / "long.index", tmp_path / "index", modality="text")
    broken = unit(20)
    broken[5] = np.nan
    write_foreign(tmp_path / "nan.index", "Flat", broken)
    with pytest.raises(InputError, match="vectors of it are NaN or infinite"):
        adopt(tmp_path / "nan.index", tmp_path / "index", modality="text")
    write_foreign(tmp_path / "four.index", "Flat", np.eye(4, dtype=np.float32))
    with pytest.raises(ModelError, match="vectors of 4 numbers and those of 'colours:rgb' have 3"):
        adopt(tmp_path / "four.index", tmp_path / "index", modality="text")
    write_foreign(tmp_path / "good.index", "Flat", unit(20))
    with pytest.raises(SpecError, match="say --modality image or text"):
        adopt(tmp_path / "good.index", tmp_path / "index")
    with pytest.raises(InputError, match="does not exist, or holds no files"):
        adopt(tmp_path / "nowhere", tmp_path / "index")
    (tmp_path / "odd.index").write_bytes(b"hello")
    with pytest.raises(
        InputError, match=r"is no usable Faiss index: Index type 0x6c6c6568 \(\"hell\"\) not recognized"
    ):
        adopt(tmp_path / "odd.index", tmp_path / "index")
    made = adopt(tmp_path / "good.index", tmp_path / "index", modality="text")
    assert adopt(tmp_path / "good.index", tmp_path / "index", modality="text").created == made.created
    with pytest.raises(OutputError, match="holds another index"):
        adopt(tmp_path / "good.index", tmp_path / "index", modality="text", recall=0.5)


def test_flat_takes_more_and_a_graph_says_that_it_takes_none(tmp_path: Path) -> None:
    vectors = unit(20)
    save(tmp_path / "more/emb.npy", unit(9, 5))
    more = take_over(tmp_path / "more", tmp_path / "emb", modality="text")
    for key in ("Flat", "HNSW8", "SQ8"):
        write_foreign(tmp_path / f"{key}.index", key, vectors)
        made = adopt(tmp_path / f"{key}.index", tmp_path / key, modality="text")
        spec = IndexSpec(embeddings=(more.uri,), output=made.uri, append=True)
        if key != "Flat":
            with pytest.raises(InputError, match=f"another tool as {key}, to which nothing can be appended"):
                build_index(lambda: None, spec)
            continue
        build_index(lambda: None, spec)
        with Searcher.open(made.uri) as searcher:
            found = [hit.score for hit in searcher.search_embedding(vectors[0], 29)]
        everything = np.concatenate([vectors, unit(9, 5)]) @ vectors[0]
        np.testing.assert_allclose(found, np.sort(everything)[::-1], atol=2e-6)


@pytest.mark.parametrize("key", ["HNSW8", "IVF8,PQ3x6", "Flat", "IDMap,HNSW8"])
def test_a_whole_one_is_published_with_what_it_was(tmp_path: Path, key: str) -> None:
    vectors = unit(ROWS)
    index = write_foreign(tmp_path / "x.index", key, vectors)
    contents = Contents(adopt(tmp_path / "x.index", tmp_path / "index", modality="text").uri)
    published = contents.faiss_index()
    assert published.ntotal == ROWS
    if not key.startswith("IDMap"):  # else numbers go by rows
        if "IVF" in key:
            index.nprobe = published.nprobe
        np.testing.assert_array_equal(published.search(vectors[:9], 3)[1], index.search(vectors[:9], 3)[1])
    np.testing.assert_allclose(contents.vectors(4, 6), vectors[4:6], atol=0.4 if "PQ" in key else 0)
    contents.close()


def test_a_migration_and_a_map_say_that_they_need_the_embeddings(tmp_path: Path) -> None:
    write_foreign(tmp_path / "x.index", "Flat", unit(20))
    manifest, info = read_index(adopt(tmp_path / "x.index", tmp_path / "index", modality="text").uri)
    spec = MigrateSpec(index=manifest.uri, model="demo", output=str(tmp_path / "other"))
    with pytest.raises(InputError, match="was taken over by adopt-index, so no embeddings say what was encoded"):
        embed_again(lambda: None, spec, manifest, info)
    with pytest.raises(InputError, match="was taken over by adopt-index, so no embeddings of its records are there"):
        inputs_of({}, [manifest])


def test_what_was_taken_down_does_not_come_back_with_another_file(tmp_path: Path) -> None:
    write_foreign(tmp_path / "x.index", "Flat", unit(20))
    save(tmp_path / "ids.npy", np.arange(20))
    given = {"modality": "text", "metadata": str(tmp_path / "ids.npy")}
    made = adopt(tmp_path / "x.index", tmp_path / "index", **given)
    remove_records(lambda: None, RemoveSpec(index=made.uri, where="id = '7'"))
    with pytest.raises(InputError, match="1 of the records were taken down .* would bring their vectors back"):
        adopt(tmp_path / "x.index", tmp_path / "index", overwrite=True, **given)
    assert read_index(made.uri)[0].created == made.created


def test_records_have_the_ids_that_import_index_gives_them(tmp_path: Path) -> None:
    write_foreign(tmp_path / "in/image.index", "HNSW8", unit(14))
    for number in range(2):
        metadata(tmp_path / "in", number, 7)
    _, info = read_index(adopt(tmp_path / "in", tmp_path / "index").uri)
    adopted = RecordReader(str(tmp_path / "index"), info.records, info.columns).take(np.arange(14))
    taken = take_index(tmp_path / "in", tmp_path / "emb")
    imported = pa.concat_tables([pq.read_table(uri) for uri in taken.files("records")])
    assert adopted.to_pylist() == imported.to_pylist()


@pytest.mark.parametrize("key", ["Flat", "HNSW8"])
def test_one_that_replaces_an_index_keeps_what_it_learnt_and_the_other_model_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    session, names = in_this_process(monkeypatch), numbered(70)
    save(tmp_path / "ids.npy", np.arange(20))
    write_foreign(tmp_path / "x.index", "Flat", unit(20))
    write_foreign(tmp_path / "y.index", key, unit(20, 1))
    given = {"modality": "text", "metadata": str(tmp_path / "ids.npy")}
    uri = adopt(tmp_path / "x.index", tmp_path / "index", **given).uri
    encoder = dict(read_index(uri)[1].encoder)
    asked = write_embeddings(tmp_path / "asked", unit(70, 3), names, modality="image", encoder=encoder)
    calibrate_index(session, CalibrateSpec(index=uri, queries=asked.uri))
    other = write_embeddings(tmp_path / "other", unit(9, 4), names[:9], encoder={**encoder, "model": "greys"})
    build_other(session, IndexSpec(embeddings=other.uri, output=uri))
    adopt(tmp_path / "y.index", tmp_path / "index", get_spark=session, overwrite=True, **given)
    _, info = read_index(uri)
    assert info.key == key and info.other is not None and info.other.info.rows == 9
    assert info.calibration is not None and sum(file.rows for file in info.penalties) == 20
