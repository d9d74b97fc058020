"""Variations of what people bring: other alphabets, other containers, other names than those of tests/field."""

from __future__ import annotations

import io
import lzma
import os
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from clip_spark.errors import InputError
from clip_spark.texts import corpus
from clip_spark.texts.corpus import Account, Piece
from clip_spark.texts.corpus.encodings import detect
from clip_spark.texts.corpus.plain_types import plain_table
from clip_spark.texts.corpus.rows import read_tables
from clip_spark.texts.corpus.sniff import sniff

ALPHABETS = {
    "ru": "красная лиса бежит\n",
    "el": "η κόκκινη αλεπού\n",
    "hi": "लाल लोमड़ी दौड़ती है।\n",
    "ml": "ചുവന്ന കുറുക്കൻ\r\n",
    "th": "สุนัขจิ้งจอก สีแดง\n",
    "ar": "الثعلب الأحمر\n",
    "ka": "წითელი მელა\n",
    "ko": "빨간 여우\n",
    "ja": "赤い狐が走る\nあかい きつね\n",
    "mixed": "the лиса — бежит “да”\n",
    "short": "да\n",
}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-8"])
@pytest.mark.parametrize("language", ALPHABETS)
def test_utf16_without_a_mark_is_told_in_every_alphabet(language: str, encoding: str) -> None:
    for times in (1, 50):
        assert detect((ALPHABETS[language] * times).encode(encoding)) == (encoding, 0)


@pytest.mark.parametrize("data", [b"the\0red fox\n the\0red hen\n", b"\0".join([b"file a", b"file b"]) * 40])
def test_text_with_zero_bytes_stays_utf8(data: bytes) -> None:
    assert detect(data) == ("utf-8", 0)


def orc() -> bytes:
    sink = io.BytesIO()
    pyarrow.orc.write_table(pa.table({"text": ["the red fox"] * 50}), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("a.orc", orc(), "an ORC file"),
        ("a.pkl", pickle.dumps(["the fox"] * 9), "a pickle of Python"),
        ("a.lzma", lzma.compress(b"the fox " * 99, format=lzma.FORMAT_ALONE), "compressed with LZMA alone"),
        ("a.tfrecord", b"\x1e" + bytes(7) + b"abcd\x0a\x1cthe fox is red", "a TFRecord file"),
        ("a.safetensors", b"\x3c" + bytes(7) + b'{"a":{"dtype":"F32"}}', "a safetensors file"),
        ("a.rtf", b"{\\rtf1 the fox}", "an RTF document"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS, not the file"),
        ("a.parquet", b"<html>Not found</html>", "text and no parquet"),
        ("a.dat", b"the\0red fox", "not text"),
    ],
)
def test_no_binary_is_counted_as_text(name: str, data: bytes, what: str) -> None:
    assert str(sniff(data, name)).startswith(what)


def test_text_that_begins_like_a_binary_is_text() -> None:
    assert str(sniff(b"ORC fox is a beast\n", "a.txt")) == "text"
    assert str(sniff(b"id|text\n1|the fox\n", "a.psv")) == "csv"


def test_a_name_that_is_no_utf8_is_read(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.txt", "wb") as file:
        file.write(b"the fox\n")
    (found,) = corpus.list_corpus([str(tmp_path)]).files
    assert found.relative == "caf\\xe9.txt"
    assert corpus.as_input([found], ["x"])["fingerprint"]
    assert b"".join(corpus.read_text(Piece(found.uri), "text", Account())) == b"the fox\n"


def test_what_is_given_twice_and_links_to_nothing_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the fox\n")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    found = corpus.list_corpus([str(tmp_path / "a.txt"), str(tmp_path)])
    assert len(found.files) == 1
    assert found.left_out == {(".txt", "given twice: read once"): 1, (".txt", "a link that leads nowhere"): 1}
    (tmp_path / "a.txt").unlink()
    with pytest.raises(InputError, match="leads nowhere"):
        corpus.list_corpus([str(tmp_path)])


def texts(path: Path, data: str) -> tuple[list[str], list[str]]:
    """The lines of a file, and the messages of its rejects."""
    path.write_text(data)
    account = Account()
    lines = b"".join(corpus.read_text(Piece(str(path)), "text", account)).decode("utf-8", "replace").splitlines()
    return lines, [message for _, _, message in account.rejects]


def test_rows_of_json_that_are_no_objects(tmp_path: Path) -> None:
    rows = '{"text": 1}\n{"text": null}\n["a fox", "a hen"]\n["a", 1]\n7\n{}\n{"text": {"en": "x"}}\n'
    lines, messages = texts(tmp_path / "a.jsonl", rows)
    assert lines == ["a fox", "a hen"]
    assert messages == [
        "'text' is a number",
        "'text' is missing; the keys are text",
        "'text' is missing; the row is a list",
        "'text' is missing; the row is a number",
        "'text' is missing; the row has no keys",
        "'text' is an object",
    ]


@pytest.mark.parametrize(
    ("value", "stored"),
    [({}, None), ({"a": {}}, {"a": None}), ([{}, {}], [None, None]), ({"a": {"b": [{}]}}, {"a": {"b": [None]}})],
)
def test_objects_without_keys_hold_nothing(value: Any, stored: Any) -> None:
    table = plain_table(pa.table({"x": [value, None]}))
    pq.write_table(table, io.BytesIO())  # parquet refuses them
    assert table.to_pylist() == [{"x": stored}, {"x": None}]


def test_half_a_character_of_json_costs_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a \\ud83d b", "tag": ["\\ude00"]}\n{"text": "c", "tag": []}\n')
    (table,) = read_tables(str(tmp_path / "a.jsonl"), "text", Account())
    assert table.to_pylist() == [{"text": "a \ufffd b", "tag": ["\ufffd"]}, {"text": "c", "tag": []}]
