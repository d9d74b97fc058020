"""Inputs from the field: every file gives its texts and its rejects, to the row."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark.datasets.foreign_tables import partitions
from clip_spark.errors import InputError
from clip_spark.search.answers import json_lines
from clip_spark.search.hits import Hit, Hits
from clip_spark.texts import corpus
from clip_spark.texts.corpus import Account, Piece
from clip_spark.texts.corpus.account import DAMAGED
from clip_spark.texts.make_records import plan_rows
from clip_spark.texts.record_shards import ORDER
from clip_spark.texts.specs import RecordsSpec

INPUTS = Path(__file__).resolve().parents[1] / "field/inputs"
FOX_AND_HEN = {"the": 2, "red": 2, "fox": 1, "hen": 1}
C4 = {"the": 3, "red": 3, "fox": 2, "hen": 1}
MANY = {"the": 100, "red": 100, "fox": 50, "hen": 50}


def words(path: Path, field: str = "text", **options: Any) -> tuple[Counter[str], Account]:
    """The words of a file, split at white space, and what became of the rest."""
    account = Account()
    try:
        data = b"".join(corpus.read_text(Piece(str(path)), field, account, **options))
    except Exception as error:
        assert corpus.is_damage(error), error
        data = b""
        account.reject(str(path), DAMAGED, str(error))
    return Counter(data.decode("utf-8", "replace").split()), account


def reasons(account: Account) -> dict[str, int]:
    return dict(Counter(reason for _, reason, _ in account.rejects))


@pytest.mark.parametrize(
    ("name", "expected", "form"),
    [
        ("text/utf16le.txt", FOX_AND_HEN, "text, utf-16-le"),
        ("text/utf16be.txt", FOX_AND_HEN, "text, utf-16-be"),
        ("text/utf16nobom.txt", FOX_AND_HEN, "text, utf-16-le"),
        ("text/utf16.tsv", FOX_AND_HEN, "csv, utf-16-le"),
        ("text/cr.csv", FOX_AND_HEN, "csv"),
        ("text/semi.csv", FOX_AND_HEN, "csv"),
        ("text/df.pq", FOX_AND_HEN, "parquet"),
        ("text/df.parquet.gzip", FOX_AND_HEN, "parquet"),
        ("text/c4one.json", C4, "json lines"),
        ("text/c4one.json.gz", C4, "json lines, gzip"),
        ("text/array.json", C4, "json"),
        ("text/bom.jsonl", C4, "json lines"),
        ("text/frames.txt.zst", MANY, "text, zstd"),
        ("text/frames.jsonl.zst", {"the": 9, "red": 9, "fox": 6, "hen": 3}, "json lines, zstd"),
        ("text/u2028.txt", {"the": 2, "red": 2, "fox": 1, "hen": 2}, "text"),
        ("text/skippable.txt.zst", MANY, "text, zstd"),
        ("text/multi.txt.gz", MANY, "text, gzip"),
        ("text/trail.txt.gz", MANY, "text, gzip"),
        ("text/wiki/AA/wiki_00", {"Fox": 1, "the": 1, "red": 1, "fox": 1}, "wiki"),
        ("text/nul.txt", {"the\0red": 1, "fox": 1, "the": 1, "red\0hen": 1}, "text"),
        ("text/latin1.txt", {"le": 2, "caf\ufffd": 2, "noir": 1, "blanc": 1}, "text"),
        ("arch/gz_named.tar", {"x": 1}, "tar, gzip"),
        ("arch/cat.tar", {"x": 1, "y": 1}, "tar"),
        ("arch/mac.tar", {"real": 1}, "tar"),
        ("arch/latin.tar", {"c": 1}, "tar"),
        ("arch/gnulong.tar", {"gnu": 1, "long": 1}, "tar"),
        ("arch/bytype.tar", {"cap": 2, "0": 1, "1": 1}, "tar"),
    ],
)
def test_a_file_is_what_it_holds(name: str, expected: dict[str, int], form: str) -> None:
    found, account = words(INPUTS / name)
    assert found == expected
    assert account.rejects == []
    assert account.counters[f"form: {form}"] == 1


@pytest.mark.parametrize("name", ["trunc.txt.gz", "trunc.txt.zst", "notgz.txt.gz", "trailgarb.txt.gz"])
def test_a_packed_file_that_is_cut_short_or_garbled_is_one_reject(name: str) -> None:
    found, account = words(INPUTS / "text" / name)
    assert not found and reasons(account) == {DAMAGED: 1}


def test_one_ragged_row_is_one_reject_with_its_row() -> None:
    found, account = words(INPUTS / "text/ragged.csv")
    assert found == {"the": 2, "red": 2, "fox": 2}
    assert account.rejects == [(f"{INPUTS}/text/ragged.csv#2", "ragged row", "it has 3 cells, the header 2")]


def test_quotes_behind_backslashes_as_spark_writes_them() -> None:
    assert words(INPUTS / "rows/spark_quiet.csv", "prompt")[0]['"hi"'] == 1


def test_a_list_of_texts_is_several_lines() -> None:
    assert words(INPUTS / "rows/captions_list.parquet", "captions")[0] == {
        "a": 2,
        "fox": 2,
        "red": 1,
        "blue": 1,
        "hen": 1,
    }
    assert words(INPUTS / "rows/sentences.parquet", "sentences.raw")[0] == {"a": 1, "red": 1, "fox": 1, "hen": 1}


def test_a_wrong_field_names_the_keys_that_are_there() -> None:
    _, account = words(INPUTS / "rows/prompts.jsonl", "prompts")
    assert reasons(account) == {"no text": 3}
    assert "'prompts' is missing; the keys are prompt, score" in account.rejects[0][2]
    assert "the columns are id, text" in words(INPUTS / "text/semi.csv", "words")[1].rejects[0][2]


def test_what_a_tar_holds_besides_texts_is_counted() -> None:
    _, account = words(INPUTS / "arch/mac.tar")
    assert account.counters["left out: .jpg: member of a tar"] == 1
    assert account.counters["left out: ._ or .DS_Store: of macOS"] == 2


def test_an_encoding_that_the_user_names() -> None:
    assert words(INPUTS / "text/latin1.txt", encoding="cp1252")[0] == {"le": 2, "café": 2, "noir": 1, "blanc": 1}


def test_an_excel_workbook_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04" + bytes(26) + b"xl/workbook.xml")
    with pytest.raises(InputError, match="is an Excel workbook; save it as"):
        corpus.list_corpus([str(tmp_path / "a.xlsx")], "rows")


def records(name: str, column: str = "prompt", **options: Any) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The records of an input without their ids and kind, before duplicates are removed; rejects by reason."""
    spec = RecordsSpec(rows=(str(INPUTS / "rows" / name),), output="o", text_column=column, **options)
    planned = plan_rows(corpus.list_corpus(spec.rows, "rows").files, spec)
    found: list[dict[str, Any]] = []
    rejects: Counter[str] = Counter()
    for file in planned.files:
        for _, part in planned.reader(spec, 1)(file):
            rejects.update(reason for _, reason, _ in part.rejects)
            if part.rows:
                found += pa.ipc.open_stream(part.rows).read_all().drop_columns([ORDER, "record_id", "kind"]).to_pylist()
    return found, dict(rejects)


FOX, HEN = {"text": "a red fox"}, {"text": "a blue hen"}
ONE, TWO = {"input_text": "alt one"}, {"input_text": "alt two"}
E1, E2 = "http://e.com/1.jpg", "http://e.com/2.jpg"


@pytest.mark.parametrize(
    ("name", "column", "expected", "rejects"),
    [
        ("prompts.jsonl", "prompt", [{**FOX, "score": 1}, {**HEN, "score": 2}, {**FOX, "score": 3}], {}),
        ("df.pq", "prompt", [{**FOX, "score": 1}, {**HEN, "score": 2}, {**FOX, "score": 3}], {}),
        ("df.parquet.gzip", "prompt", [{**FOX, "score": 1}, {**HEN, "score": 2}, {**FOX, "score": 3}], {}),
        ("both.csv", "caption", [{**FOX, "input_text": "alt one"}, {**HEN, "input_text": "alt two"}], {}),
        ("both.parquet", "caption", [{**FOX, **ONE, "url": E1}, {**HEN, **TWO, "url": E2}], {}),
        ("hf.parquet", "prompt", [{**FOX, "label": 0}, {**HEN, "label": 1}], {}),
        ("spaces.csv", "prompt", [{"text": "a red fox ", "score": " 1"}], {}),
        ("d256.parquet", "TEXT", [{**FOX, "d256": Decimal("1.00")}, {**HEN, "d256": Decimal("1.00")}], {}),
        ("../text/trunc.txt.gz", "text", [], {DAMAGED: 1}),
        ("../text/trunc.txt.zst", "text", [], {DAMAGED: 1}),
        ("../text/notgz.txt.gz", "text", [], {DAMAGED: 1}),
        ("../parquet/1.parquet", "text", [], {DAMAGED: 1}),
        ("binary.parquet", "prompt", [FOX], {"not UTF-8": 1}),
        ("ragged.csv", "prompt", [{**FOX, "score": "1"}, {"text": "a cat", "score": "3"}], {"ragged row": 1}),
        ("latin1.csv", "prompt", [{"text": "caf\ufffd noir", "score": "1"}, {**HEN, "score": "2"}], {}),
        ("semi.csv", "prompt", [{**FOX, "score": "1"}], {}),
        ("empty_mixed", "prompt", [FOX], {}),
        ("drift", "prompt", [{**FOX, "score": 1.0}, {**HEN, "score": 2.5}], {}),
        ("spark_quiet.csv", "prompt", [{"text": 'he said "hi" twice', "score": "1"}, {**HEN, "score": "2"}], {}),
        ("n.parquet", "TEXT", [{**FOX, "input_n": "first"}, {**HEN, "input_n": "second"}], {}),
        ("half.parquet", "TEXT", [{**FOX, "half": 1.0}, {**HEN, "half": 2.0}], {}),
    ],
)
def test_rows_become_records(name: str, column: str, expected: list[Any], rejects: dict[str, int]) -> None:
    assert records(name, column) == (expected, rejects)


def test_no_column_of_the_user_is_lost() -> None:
    (fox, _), _ = records("kind.csv")
    named = {"kind": "animal", "record_id": "7", "uri": "u1", "n": "first"}
    assert {f"input_{name}": value for name, value in named.items()}.items() <= fox.items()
    assert [fox[name] for name in ("embedding", "count", "score", "rank", "query")] == ["e", "c", "s", "r", "q"]


def test_a_list_of_captions_is_one_record_each_with_the_parents_id() -> None:
    found, _ = records("captions_list.parquet", "captions")
    assert [(row["text"], row["image_id"]) for row in found] == [("a red fox", 1), ("fox", 1), ("a blue hen", 2)]
    assert found[0]["parent_id"] == found[1]["parent_id"] != found[2]["parent_id"]
    assert [row["text"] for row in records("sentences.parquet", "sentences.raw")[0]] == ["a red fox", "hen"]
    with pytest.raises(InputError, match=r"objects; name one of sentences.raw, sentences.tokens"):
        records("sentences.parquet", "sentences")


def test_captions_beside_links() -> None:
    found, _ = records("both.parquet", "caption", uri_column="url")
    assert found == [{**FOX, **ONE, "uri": E1}, {**HEN, **TWO, "uri": E2}]
    assert records("captions_list.parquet", "captions", uri_column="image_id")[0] == [
        {**FOX, "uri": "1", "captions": ["a red fox", "fox"]},  # one picture, one record: its text is the first
        {**HEN, "uri": "2", "captions": ["a blue hen"]},
    ]


def test_a_table_without_the_column_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column 'prompt' \(it has Prompt, score\).*Did you mean 'Prompt'\?"):
        records("case.csv")
    (tmp_path / "a.csv").write_text("a red fox,1\na hen,2\n")
    with pytest.raises(InputError, match=r"no column 'prompt' \(it has a red fox, 1\)"):
        records(str(tmp_path / "a.csv"))


def test_texts_of_two_widths_are_one_column(tmp_path: Path) -> None:
    for n, kind in enumerate((pa.string(), pa.large_string())):
        pq.write_table(pa.table({"prompt": pa.array([f"a {n}"], kind)}), tmp_path / f"{n}.parquet")
    assert records(str(tmp_path)) == ([{"text": "a 0"}, {"text": "a 1"}], {})


def test_a_dictionary_of_many_values_over_row_groups(tmp_path: Path) -> None:
    sites = [f"site{n}" for n in range(70_000)]
    table = pa.table({"prompt": sites, "site": pa.array(sites).dictionary_encode()})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=9000)
    assert [row["site"] for row in records(str(tmp_path))[0]] == sites


def test_a_table_of_polars_keeps_its_values() -> None:
    found, _ = records("polars.parquet")
    kept = [tuple(row[name] for name in ("text", "cat", "en", "l", "s", "dec")) for row in found]
    assert kept == [
        ("a red fox", "x", "p", [1, 2], {"a": 1}, Decimal("1.5")),
        ("a blue hen", "y", "q", [3], {"a": 2}, Decimal("1.5")),
    ]


@pytest.mark.parametrize(("name", "column"), [("half", "TEXT"), ("d256", "TEXT"), ("types", "prompt")])
def test_a_column_that_no_condition_can_use_breaks_none(name: str, column: str) -> None:
    (row,), _ = records(f"{name}.parquet", column, where="text like '%fox%'")
    assert row["text"] == "a red fox"


def test_a_number_that_is_none_is_null_in_json() -> None:
    found, _ = records("laion.parquet", "TEXT")
    hits = Hits(tuple(Hit(n, 0.5, row) for n, row in enumerate(found, 1)), "q")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in json_lines([hits]).splitlines()]
    assert [row["similarity"] for row in rows] == [0.3, None, 0.31]


def test_the_folders_of_a_hive_table_are_a_column() -> None:
    found, _ = records("hive")
    assert Counter(row["lang"] for row in found) == {"en": 2, "fr": 1}
    assert partitions("year=2024/lang=__HIVE_DEFAULT_PARTITION__/a=b.parquet") == {"year": "2024", "lang": None}


def test_a_delta_table_is_its_latest_version() -> None:
    pytest.importorskip("deltalake")
    assert records("delta") == ([{"text": "a green cat"}], {})


def test_a_table_of_every_type_keeps_its_values() -> None:
    (row, *_), _ = records("types.parquet")
    assert (row["ls"], row["dict"], row["u64"], row["bin"]) == ("x", "UNLIKELY", 9223372036854775813, b"\xff\x00")
    (row,), _ = records("duck.parquet")
    assert row["id"] == "082d3389-ad74-4d0d-8e1d-5fc629a00a7b"


def saved_to_disk(folder: Path, texts: list[str], **state: Any) -> None:
    """What `datasets.save_to_disk` of Hugging Face writes, and a cache that `map` leaves beside it."""
    folder.mkdir(parents=True)
    for name, rows in (("data-00000-of-00001.arrow", texts), ("cache-1f2e.arrow", ["of a cache"])):
        table = pa.table({"prompt": rows})
        with pa.ipc.new_stream(str(folder / name), table.schema) as writer:
            writer.write_table(table)
    shards = [{"filename": "data-00000-of-00001.arrow"}]
    (folder / "state.json").write_text(json.dumps({"_data_files": shards, "_fingerprint": "1f2e", **state}))
    (folder / "dataset_info.json").write_text('{"features": {"prompt": {"dtype": "string", "_type": "Value"}}}')


def test_a_data_set_saved_by_hugging_face_is_its_shards(tmp_path: Path) -> None:
    for split, texts in (("train", ["a red fox", "a blue hen"]), ("test", ["a cat"])):
        saved_to_disk(tmp_path / "set" / split, texts)
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert records(str(tmp_path / "set")) == ([{"text": "a cat"}, FOX, HEN], {})
    left_out = corpus.list_corpus([str(tmp_path / "set")], "rows").left_out
    assert {ending: n for (ending, _), n in left_out.items()} == {".json": 5, ".arrow": 2}


def test_a_state_of_somebody_else_is_a_file_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"prompt": "a red fox"}')
    assert records(str(tmp_path)) == ([FOX], {})


def test_rows_in_an_order_of_their_own_are_refused(tmp_path: Path) -> None:
    saved_to_disk(tmp_path / "set", ["a"], _indices_files=[{"filename": "indices.arrow"}])
    with pytest.raises(InputError, match="flatten_indices"):
        corpus.list_corpus([str(tmp_path / "set")], "rows")
