"""import-embeddings: vectors of other tools become embeddings, bit by bit, with what lies beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark.commands.one_shard import run_one
from clip_spark.datasets.embeddings import read_embeddings
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.embed.imported.rows import matrix
from clip_spark.embed.imported.sources import line_starts
from clip_spark.embed.imported.task import ImportTask
from clip_spark.errors import InputError, ModelError, ResultError, SpecError
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher
from tests.helpers_imported import clip_retrieval, imports_run_here, metadata, save, take_over, unit


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    imports_run_here(monkeypatch)


def vectors_of(manifest: Manifest) -> np.ndarray:
    return np.concatenate([found for uri in manifest.files("embeddings") if len(found := read_embeddings(uri))])


def records_of(manifest: Manifest) -> list[dict[str, Any]]:
    return [row for uri in manifest.files("records") for row in pq.read_table(uri).to_pylist()]


def test_clip_retrieval_comes_over_exactly_and_pairs_know_each_other(tmp_path: Path) -> None:
    pictures, texts = clip_retrieval(tmp_path / "in")
    images = take_over(tmp_path / "in", tmp_path / "images")
    captions = take_over(tmp_path / "in", tmp_path / "captions", modality="text")
    np.testing.assert_array_equal(vectors_of(images), pictures.astype(np.float32))  # float16 widens exactly
    np.testing.assert_array_equal(vectors_of(captions).astype(np.float16), texts)
    first, said = records_of(images)[8], records_of(captions)[8]
    assert first["uri"] == "/pictures/1-1.jpg" and first["caption"] == "picture 1-1" and first["kind"] == "image"
    assert first["url"] == "https://example.org/1-1.jpg" and first["NSFW"] == "UNLIKELY"
    assert said["text"] == "picture 1-1" and said["record_id"] == first["record_id"]
    assert images.extra["encoder"]["model"] == "colours:rgb" and images.extra["imported"]["dtypes"] == ["float16"]


def test_what_is_taken_over_is_searched_by_the_model_that_made_it(tmp_path: Path) -> None:
    vectors = unit(40, 5)
    save(tmp_path / "in/emb00000.npy", vectors[:23])
    save(tmp_path / "in/emb00001.npy", vectors[23:])
    (tmp_path / "in/entries.txt").write_text("\n".join(f" n-gram {row}" for row in range(40)))
    manifest = take_over(tmp_path / "in")
    assert [row["text"] for row in records_of(manifest)] == [f"n-gram {row}" for row in range(40)]
    build_index(lambda: None, IndexSpec(embeddings=(manifest.uri,), output=str(tmp_path / "index")))
    searcher = Searcher.open(str(tmp_path / "index"))
    query = searcher.encoder.encode_texts(["red red green"])[0]
    best = np.argsort(-(vectors @ query), kind="stable")[:5]
    hits = searcher.search_embedding(query, 5)
    assert [hit.record["text"] for hit in hits] == [f"n-gram {row}" for row in best]
    searcher.close()


@pytest.mark.parametrize("entries", ["a\nb\nc\n", "a\nb\nc"])
def test_lines_are_found_by_their_bytes(tmp_path: Path, entries: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clip_spark.embed.imported.sources.READ_BYTES", 2)
    (tmp_path / "entries.txt").write_text(entries)
    assert line_starts(str(tmp_path / "entries.txt"), [0, 1, 2]) == ([0, 2, 4], 3)
    (tmp_path / "entries.txt").write_text("\n\nlong line\nx")
    assert line_starts(str(tmp_path / "entries.txt"), [1, 3]) == ([1, 12], 4)


def test_prompt_search_keeps_its_ids(tmp_path: Path) -> None:
    vectors = unit(9)
    for n in range(3):
        save(tmp_path / f"visual/embeddings/{n:09d}.npy", vectors[3 * n : 3 * n + 3])
        save(tmp_path / f"visual/ids/{n:09d}.npy", np.array([f"id-{n}-{row}" for row in range(3)]))
    images = take_over(tmp_path / "visual")
    assert images.extra["modality"] == "image" and len(images.receipts) == 3
    assert [row["id"] for row in records_of(images)] == [f"id-{n}-{row}" for n in range(3) for row in range(3)]
    save(tmp_path / "text/text_embeddings.npy", vectors)
    save(tmp_path / "text/prompt_ids.npy", np.arange(9))
    texts = take_over(tmp_path / "text", tmp_path / "texts")
    assert texts.extra["modality"] == "text" and records_of(texts)[8]["id"] == "8"
    np.testing.assert_array_equal(vectors_of(texts), vectors)


def test_ids_must_tell_records_apart(tmp_path: Path) -> None:
    save(tmp_path / "in/text_embeddings.npy", unit(9))
    save(tmp_path / "in/prompt_ids.npy", np.array([*range(8), 3]))
    with pytest.raises(InputError, match="1 ids come more than once, the first in row 4 of .*00001"):
        take_over(tmp_path / "in")
    alone = take_over(tmp_path / "in/text_embeddings.npy", tmp_path / "emb", modality="text")
    assert alone.rows == 9, "the folder that was refused is free again"


def test_parquet_of_any_length_is_divided_on_request_and_bytes_stay_behind(tmp_path: Path) -> None:
    vectors = unit(12)
    long = vectors * np.linspace(3, 9, 12, dtype=np.float32)[:, None]
    long[[0, 7]] = vectors[[0, 7]]
    table = {"id": range(12), "image_url": [f"http://x/{n}" for n in range(12)], "image": [b"jpg"] * 12}
    table |= {"embedding": list(long.astype(np.float64)), "tags": [["a"]] * 12}
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table(table), tmp_path / "in/part.0.parquet", row_group_size=5)
    with pytest.raises(ResultError, match=r"83.3% .*10 not of length 1"):
        take_over(tmp_path / "in", tmp_path / "strict", max_rejects=0.5)
    found = take_over(tmp_path / "in", id_column="id", normalise=True)
    np.testing.assert_allclose(vectors_of(found), vectors, atol=1e-7)
    np.testing.assert_array_equal(vectors_of(found)[7], vectors[7])  # of length 1: as it was
    assert records_of(found)[3]["uri"] == "http://x/3" and records_of(found)[3]["tags"] == ["a"]
    assert found.extra["imported"]["left_out"] == ["image"]
    assert {name for receipt in found.receipts for name in receipt.counters} >= {"rounded to float32"}


def test_vectors_that_cannot_be_used_are_rejects_with_their_row(tmp_path: Path) -> None:
    vectors = unit(20)
    vectors[3, 1], vectors[4], vectors[9], vectors[15, 0] = np.nan, 0, vectors[9] * 2, np.inf
    save(tmp_path / "in/x.npy", vectors)
    found = take_over(tmp_path / "in", modality="text")
    assert found.rejects == {"not finite": 2, "no direction": 1, "not of length 1": 1}
    rows = [row for uri in found.files("rejects") for row in pq.read_table(uri).to_pylist()]
    assert [row["source"].rpartition("#")[2] for row in rows] == ["row=3", "row=4", "row=9", "row=15"]
    np.testing.assert_array_equal(vectors_of(found), np.delete(vectors, [3, 4, 9, 15], axis=0))


@pytest.mark.parametrize("kind", [pa.list_(pa.float16()), pa.list_(pa.float32()), pa.large_list(pa.float64())])
def test_lists_that_are_missing_or_short_are_rows_of_nan(kind: pa.DataType) -> None:
    column = pa.chunked_array([pa.array([[1, 2], None, [3], [5, None], [6, 7]], pa.list_(pa.float32())).cast(kind)])
    np.testing.assert_array_equal(matrix(column, 2), [[1, 2], [np.nan] * 2, [np.nan] * 2, [5, np.nan], [6, 7]])
    fixed = pa.chunked_array([pa.array([[1, 2], None, [6, 7]], pa.list_(pa.float32(), 2))]).slice(1)
    np.testing.assert_array_equal(matrix(fixed, 2), [[np.nan] * 2, [6, 7]])


def refused(folder: Path, sentence: str, kind: type[Exception] = InputError, **options: Any) -> None:
    with pytest.raises(kind, match=sentence):
        take_over(folder, **options)
    assert not (folder.parent / "emb/manifest.json").exists()


def test_files_that_do_not_belong_together_are_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    clip_retrieval(folder)
    metadata(folder, 1, 6)
    refused(folder, "img_emb_1.npy' has 7 vectors and '.*metadata_1.parquet' 6 rows")
    metadata(folder, 2, 7)
    refused(folder, "metadata_2.parquet' has no file of vectors of the same number")
    (folder / "metadata/metadata_0.parquet").unlink()
    refused(folder, "img_emb_0.npy' has no file of the same number in metadata/")


def test_damaged_and_odd_npy_files_are_one_sentence(tmp_path: Path) -> None:
    folder, file = tmp_path / "in", tmp_path / "in/x.npy"
    save(file, unit(5))
    whole = file.read_bytes()
    file.write_bytes(whole[:-4])
    refused(folder, "has 184 bytes where its header asks for 188; it is damaged", modality="text")
    file.write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr': (((")
    refused(folder, "is no .npy file")
    for odd, sentence in ((np.array([{}]), "Python objects"), (np.asfortranarray(unit(5)), "lies by columns")):
        save(file, odd)
        refused(folder, sentence)
    save(file, np.arange(6).reshape(2, 3))
    refused(folder, r"is int64 of shape \(2, 3\); vectors are")
    save(file, unit(5))
    save(folder / "y.npy", np.ones((2, 4), np.float32) / 2)
    refused(folder, "y.npy' has vectors of 4 numbers, '.*x.npy' of 3")


def test_other_mistakes_are_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    save(folder / "x.npy", np.eye(4, dtype=np.float32))
    refused(folder, "have 4 numbers and those of 'colours:rgb' 3", ModelError, modality="text")
    assert not (tmp_path / "emb").exists(), "a folder that was refused is free again"
    refused(folder, "Nothing tells whether", SpecError)
    refused(folder, "--id-column is 'id', and beside the vectors are no columns", SpecError, id_column="id")
    save(folder / "x.npy", unit(4) * 9)
    refused(folder, r"None of the first 4 .*length 9\); --normalise", SpecError, modality="text")
    refused(folder, "holds no .npy file|no entries.txt", layout="clip-grams")
    refused(tmp_path / "nothing", "does not exist")


def test_a_killed_import_goes_on_and_more_files_become_more_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, done = tmp_path / "in", list[int]()
    pictures, _ = clip_retrieval(folder, files=3)
    write = ImportTask.__call__

    def dies(task: ImportTask, shard: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(shard.number)
        return write(task, shard)

    monkeypatch.setattr(ImportTask, "__call__", dies)
    with pytest.raises(KeyboardInterrupt):
        take_over(folder)
    monkeypatch.setattr(ImportTask, "__call__", lambda task, shard: (done.append(shard.number), write(task, shard))[1])
    first = take_over(folder)
    assert done == list(range(len(first.receipts))) and len(done) == 6
    np.testing.assert_array_equal(vectors_of(first), pictures.astype(np.float32))
    one = run_one(first.uri, 3, str(tmp_path / "one"), {})
    assert one.known is not None and one.receipt.id_checksum == one.known.id_checksum
    done.clear()

    save(folder / "img_emb/img_emb_3.npy", unit(4, 9))
    metadata(folder, 3, 4)
    grown = take_over(folder)
    assert done == [6] and grown.rows == 25 and grown.news == "4 new"
    for name in ("img_emb/img_emb_0.npy", "metadata/metadata_0.parquet"):
        (folder / name).unlink()
    assert "2 vanished, kept" in take_over(folder).news
    pruned = take_over(folder, prune=True)
    assert pruned.rows == 18 and {row["uri"][10] for row in records_of(pruned)} == {"1", "2", "3"}
    assert read_manifest(pruned.uri).rows == len(vectors_of(pruned))


def test_new_rows_are_those_that_no_shard_had_also_where_rows_were_rejected(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for number, zeros in ((0, 0), (1, 5)):
        vectors = unit(10, number).astype(np.float32)
        vectors[:zeros] = 0
        save(folder / f"{number}.npy", vectors)
    assert take_over(folder, shard_rows=100, modality="text").rows == 15
    (folder / "0.npy").unlink()
    save(folder / "2.npy", unit(4, 2).astype(np.float32))
    grown = take_over(folder, shard_rows=100, modality="text", prune=True)
    assert grown.rows == 9 and grown.extra["growth"]["new_rows"] == 4


def test_an_imported_index_answers_conditions_on_others_columns(tmp_path: Path) -> None:
    pictures, _ = clip_retrieval(tmp_path / "in")
    found = take_over(tmp_path / "in")
    build_index(lambda: None, IndexSpec(embeddings=(found.uri,), output=str(tmp_path / "index")))
    searcher = Searcher.open(str(tmp_path / "index"))
    query = pictures[10].astype(np.float32)
    wanted = Wanted(k=3, where="url like '%/1-%'")
    hits = searcher.search(query[None], wanted)[0]
    best = 7 + np.argsort(-(pictures[7:].astype(np.float32) @ query), kind="stable")[:3]
    assert [hit.record["url"] for hit in hits] == [f"https://example.org/1-{row - 7}.jpg" for row in best]
    searcher.close()


def parquet(place: Path, **columns: Any) -> Path:
    place.mkdir(parents=True)
    pq.write_table(pa.table({"caption": ["a"] * len(next(iter(columns.values()))), **columns}), place / "a.parquet")
    return place


LISTS = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32(), 3), pa.large_list(pa.float64()), pa.list_(pa.float16()), pa.list_(pa.float64(), 3)]
)
def test_vectors_may_be_lists_of_any_kind(tmp_path: Path, kind: pa.DataType) -> None:
    rows = [[np.float16(value) for value in row] for row in LISTS] if pa.types.is_float16(kind.value_type) else LISTS
    made = take_over(parquet(tmp_path / "in", embedding=pa.array(rows, kind), key=["ä", "猫", "a b"]), id_column="key")
    np.testing.assert_array_equal(vectors_of(made), LISTS)
    assert [row["key"] for row in records_of(made)] == ["ä", "猫", "a b"]


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (
            pa.array([[[1.0]]], pa.list_(pa.list_(pa.float32()))),
            "has no column of vectors, which are lists of floats; it has",
        ),
        (pa.array([b"1234"]), "it has caption: string, embedding: binary"),
        (pa.array(["[1, 0, 0]"]), "it has caption: string, embedding: string"),
    ],
)
def test_columns_that_are_no_vectors_are_one_sentence(tmp_path: Path, column: pa.Array, told: str) -> None:
    with pytest.raises(InputError, match=told):
        take_over(parquet(tmp_path / "in", embedding=column))


def test_missing_lists_of_a_fixed_size_are_rejects_or_a_sentence_where_arrow_cannot_read_them(tmp_path: Path) -> None:
    source = parquet(tmp_path / "in", embedding=pa.array([LISTS[0], None, LISTS[1]], pa.list_(pa.float32(), 3)))
    if int(pa.__version__.split(".")[0]) < 26:
        with pytest.raises(InputError, match=r"cannot be read .*can be written as plain lists"):
            take_over(source)
        return
    made = take_over(source)
    np.testing.assert_array_equal(vectors_of(made), LISTS[:2])
    assert dict(made.rejects) == {"not finite": 1}


def test_a_short_vector_among_the_first_does_not_say_how_long_they_are(tmp_path: Path) -> None:
    made = take_over(parquet(tmp_path / "in", embedding=pa.array([[1.0], *LISTS], pa.list_(pa.float32()))))
    assert made.rows == 3 and dict(made.rejects) == {"not finite": 1}


def test_files_come_in_the_order_of_their_numbers_as_their_lines_do(tmp_path: Path) -> None:
    for number in (0, 1, 2, 10):
        save(tmp_path / f"in/emb{number}.npy", unit(1, number))
    (tmp_path / "in/entries.txt").write_bytes("\ufeffzero\r\none\r\ntwo\r\nten".encode())
    made = take_over(tmp_path / "in")
    assert [row["text"] for row in records_of(made)] == ["zero", "one", "two", "ten"]
    np.testing.assert_array_equal(vectors_of(made), np.concatenate([unit(1, number) for number in (0, 1, 2, 10)]))


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("entries.txt", "one\ntwo\n".encode("utf-16"), "is UTF-16; write it again in UTF-8"),
        ("entries.txt", "caf\xe9\ntwo\n".encode("latin-1"), "is not UTF-8"),
        ("entries.txt.gz", b"", "is packed; unpack it to entries.txt"),
    ],
)
def test_entries_that_cannot_be_read_are_one_sentence(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    save(tmp_path / "in/emb00000.npy", unit(2))
    (tmp_path / "in" / name).write_bytes(data)
    with pytest.raises(InputError, match=told):
        take_over(tmp_path / "in")
