"""Values of every type as search saves and prints them."""

from __future__ import annotations

import csv
import datetime
import decimal
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark.search.answers import json_lines, save_answers
from clip_spark.search.hits import Hit, Hits

RECORDS = pa.table(
    {
        "nan": [0.5, float("nan"), float("inf")],
        "half": pa.array(np.array([1, 2, 3], np.float16)),
        "dec": pa.array([decimal.Decimal("1.10"), None, decimal.Decimal("3.30")], pa.decimal256(50, 2)),
        "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        "bin": pa.array([b"\xff\x00", b"", None]),
        "lasts": pa.array([1, None, 2], pa.duration("s")),
        "day": pa.array([datetime.date(2020, 1, 2), None, None]),
        "time": pa.array([datetime.time(1, 2, 3), None, None]),
        "list": [["a", "b"], [], None],
        "object": [{"a": 1, "b": b"x"}, {"a": None, "b": None}, None],
        "none": pa.nulls(3),
        "score": [7, 8, 9],
    }
)


@pytest.fixture
def answers() -> list[Hits]:
    hits = tuple(Hit(n + 1, 0.5, record) for n, record in enumerate(RECORDS.to_pylist()))
    return [Hits(hits, "q", RECORDS.schema), Hits((), "nothing", RECORDS.schema)]


def refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


def test_json_lines_are_json(answers: list[Hits]) -> None:
    rows = [json.loads(line, parse_constant=refuse) for line in json_lines(answers).splitlines()]
    assert [row["nan"] for row in rows] == [0.5, None, None]
    assert rows[0]["bin"] == "/wA=" and rows[0]["object"] == {"a": 1, "b": "eA=="}
    assert (rows[0]["day"], rows[0]["dec"], rows[0]["map"]) == ("2020-01-02", "1.10", [["k", 1]])
    assert "none" not in rows[0] and rows[0]["record_score"] == 7


def test_csv_has_every_column(answers: list[Hits], tmp_path: Path) -> None:
    save_answers(str(tmp_path / "a.csv"), answers)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert list(rows[0]) == ["query", "rank", "score", *RECORDS.column_names[:-1], "record_score"]
    assert (rows[0]["list"], rows[0]["bin"], rows[0]["dec"], rows[0]["half"]) == ('["a", "b"]', "/wA=", "1.10", "1.0")
    assert (rows[1]["list"], rows[2]["list"], rows[0]["time"]) == ("[]", "", "01:02:03")


def test_parquet_keeps_the_types(answers: list[Hits], tmp_path: Path) -> None:
    save_answers(str(tmp_path / "a.parquet"), answers)
    saved = pq.read_table(tmp_path / "a.parquet")
    assert saved.select(RECORDS.column_names[:-1]).to_pylist()[0] == {
        name: value for name, value in RECORDS.to_pylist()[0].items() if name != "score"
    }
    assert saved.schema.field("map").type == RECORDS.schema.field("map").type
