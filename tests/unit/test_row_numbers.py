"""A reject names its row as the file has them (blank lines are none), whatever was rejected before it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from clip_spark.texts.corpus import Account
from clip_spark.texts.record_shards import ReadFile, RowsFile
from clip_spark.texts.row_choice import RowChoice
from clip_spark.texts.specs import RecordsSpec

LINES = (
    '{"text": "one", "id": 1}\nnot JSON\n\n{"text": "three", "id": 3}\n{"text": {"a": 4}}\n{"text": "five", "id": ""}\n'
)
ARRAY = '[\n{"text": "one", "id": 1},\n{"text" 2},\n{"text": "3", "id": 3},\n{"text": {"a": 4}},\n{"text": "five"}\n]'
CSV = "text,id\none,1\ntwo,2,2\nthree,3\nfour,4,4\nfive,\n"
QUOTED = 'text,id\none,1\n"two" 2,2,2\n"a ""b"" c",3\n"x" y,4,4\nfive,\n'
COLUMNS = pa.schema([("record_id", pa.string()), ("kind", pa.string()), ("text", pa.string()), ("id", pa.string())])


@pytest.mark.parametrize(
    ("name", "content", "bad", "last"),
    [
        ("a.jsonl", LINES, [2, 4], 5),
        ("a.json", ARRAY, [2, 4], 5),
        ("a.csv", CSV, [2, 4], 5),
        ("b.csv", QUOTED, [2, 4], 5),
    ],
)
def test_rows_keep_their_numbers(tmp_path: Path, name: str, content: str, bad: list[int], last: int) -> None:
    path = tmp_path / name
    path.write_text(content)
    account = Account()
    read = ReadFile(RecordsSpec(rows=(str(path),), output="o", id_column="id"), COLUMNS, RowChoice(None, {}, 1.0, 0), 1)
    found = list(read.records(RowsFile(0, str(path), name, len(content), {}), account))
    assert sorted(source for source, _, _ in account.rejects) == [f"{path}#{row}" for row in (*bad, last)]
    assert [source for source, _, why in account.rejects if why.startswith("the column of ids")] == [f"{path}#{last}"]
    assert sum(table.num_rows for table in found) == 2
