"""A column that no input has is one sentence before any work, for every option that names one."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark.errors import InputError, SpecError
from clip_spark.pictures.columns import check_picture_column
from clip_spark.pictures.find import find_pictures, plan_shards
from clip_spark.texts import corpus
from clip_spark.texts.corpus import Account, Piece
from clip_spark.texts.make_records import plan_rows
from clip_spark.texts.specs import RecordsSpec
from clip_spark.texts.text_field import check_text_field

FILES = {
    "a.csv": "id,text\n1,the fox\n",
    "b.jsonl": '{"prompt": "x"}\n{"prompt": "y", "score": 1}\n',
    "c.txt": "the fox\n",
    "d.json": '["a fox", "a hen"]',
    "e.jsonl": '{"text": null}\n',
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    pq.write_table(pa.table({"caption": ["a"], "doc": [{"prompt": "x"}]}), tmp_path / "f.parquet")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    return tmp_path


@pytest.mark.parametrize(
    ("field", "names", "message"),
    [
        ("caption", ["f.parquet"], ""),
        ("doc.prompt", ["f.parquet"], ""),
        ("captoin", ["f.parquet"], r"no column 'captoin' \(there are caption, doc\).*Did you mean 'caption'"),
        ("doc.promt", ["f.parquet"], "no column 'doc.promt'"),
        ("Text", ["a.csv"], r"\(there are id, text\).*--text-field. Did you mean 'text'"),
        ("prompts", ["b.jsonl"], r"\(there are prompt, score\)"),
        ("score", ["b.jsonl"], ""),  # a row further down has it
        ("nope", ["a.csv", "b.jsonl", "f.parquet"], "None of 3 files has a column 'nope'"),
        ("nope", ["a.csv", "c.txt"], ""),  # lines of text need no column
        ("nope", ["d.json"], ""),
        ("text", ["e.jsonl"], ""),  # it is there
        ("text", ["cut.parquet"], ""),  # nothing is known
    ],
)
def test_text_field(folder: Path, field: str, names: list[str], message: str) -> None:
    files = corpus.list_corpus([str(folder / name) for name in names]).files
    if not message:
        check_text_field(files, field, "auto")
        return
    with pytest.raises(InputError, match=message):
        check_text_field(files, field, "auto")


def test_the_text_column_beside_links(tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": ["u"], "caption": ["a"]}), tmp_path / "a.parquet")
    files = corpus.list_corpus([str(tmp_path)], "rows").files

    def columns(text_column: str) -> list[str]:
        spec = RecordsSpec(rows=("x",), output="o", uri_column="url", text_column=text_column)
        return plan_rows(files, spec).columns.names

    assert columns("caption") == ["record_id", "kind", "text", "uri"]
    assert columns("text") == ["record_id", "kind", "uri", "caption"]  # the default asks for nothing
    with pytest.raises(InputError, match="no column 'captoin'.*--text-column. Did you mean 'caption'"):
        columns("captoin")


def test_image_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"jpg": [b"x"], "more": [{"thumb": b"y"}]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"other": [1]}), tmp_path / "b.parquet")
    (tmp_path / "c.jpg").write_bytes(b"\xff\xd8\xff")
    shards = plan_shards(find_pictures((str(tmp_path),)), 0)
    for name in ("jpg", "more.thumb", ""):
        check_picture_column(shards, name)
    with pytest.raises(SpecError, match=r"no table has a column 'jpq', of 2 .*jpg, more, other.*Did you mean 'jpg'"):
        check_picture_column(shards, "jpq")
    check_picture_column(plan_shards(find_pictures((str(tmp_path / "c.jpg"),)), 0), "jpq")  # no table is there


def test_a_field_inside_cells_of_json(tmp_path: Path) -> None:
    (tmp_path / "j.csv").write_text('id,meta\n1,"{""caption"": ""the fox""}"\n2,{}\n')
    account = Account()
    assert b"".join(corpus.read_text(Piece(str(tmp_path / "j.csv")), "meta.caption", account)) == b"the fox\n"
    assert [reason for _, reason, _ in account.rejects] == ["no text"]
