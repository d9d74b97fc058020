"""make-records: one record for each different text, the first is kept, user columns are carried along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.schema import record_id
from clip_spark.errors import InputError, ResultError
from clip_spark.texts.make_records import make_records, show_records
from clip_spark.texts.ngrams.count import count_ngrams
from clip_spark.texts.specs import CountSpec, RecordsSpec

pytestmark = pytest.mark.spark


def rows(manifest: Manifest) -> list[dict[str, Any]]:
    """All rows, in the order of the shards."""
    return [row for file in manifest.files("records") for row in pq.read_table(file).to_pylist()]


def test_lines(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a dog\n\n a cat \na dog\r\nnaïve")
    manifest = make_records(lambda: spark, RecordsSpec(rows=(str(tmp_path / "a.txt"),), output=str(tmp_path / "out")))
    assert [row["text"] for row in rows(manifest)] == ["a dog", "a cat", "naïve"]
    assert rows(manifest)[0] == {"record_id": record_id("a dog"), "kind": "text", "text": "a dog"}
    assert manifest.extra == {"duplicates": 1, "empty": 1}


def test_the_first_of_equal_rows_is_kept_with_the_users_columns(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('caption,price\n"a ""dog""",007\ncat,2\n')
    (tmp_path / "b.csv").write_text("price,caption,more\n3,cat,x\n4,bird,y\n")
    spec = RecordsSpec(rows=(str(tmp_path / "*.csv"),), output=str(tmp_path / "out"), text_column="caption", shards=3)
    found = {row["text"]: (row["price"], row["more"]) for row in rows(make_records(lambda: spark, spec))}
    assert found == {'a "dog"': ("007", None), "cat": ("2", None), "bird": ("4", "y")}


def test_parquet_keeps_types_and_urls_make_pictures(spark: Any, tmp_path: Path) -> None:
    table = pa.table({"url": ["s3://b/1.jpg", None, "s3://b/2.jpg"], "width": [1, 2, 3], "text": ["a", "b", "c"]})
    pq.write_table(table, tmp_path / "a.parquet")
    spec = RecordsSpec(rows=(str(tmp_path / "a.parquet"),), output=str(tmp_path / "out"), uri_column="url")
    found = rows(make_records(lambda: spark, spec))
    assert [(row["kind"], row["uri"], row["text"], row["width"]) for row in found] == [
        ("image", "s3://b/1.jpg", "a", 1),
        ("image", "s3://b/2.jpg", "c", 3),
    ]
    assert found[0]["record_id"] == record_id("s3://b/1.jpg")


def test_the_first_so_many_rows_that_fulfil_a_condition(spark: Any, tmp_path: Path) -> None:
    for name in "abcdefg":
        (tmp_path / f"{name}.csv").write_text("text,n\n" + "".join(f"{name}{n},{n}\n" for n in range(4)))
    spec = RecordsSpec(
        rows=(str(tmp_path / "*.csv"),), output=str(tmp_path / "out"), where="n = '3'", limit=5, shards=2
    )
    manifest = make_records(lambda: spark, spec)
    assert {row["text"] for row in rows(manifest)} == {"a3", "b3", "c3", "d3", "e3"}
    assert manifest.extra == {"duplicates": 0, "empty": 0, "filtered": 15}, "files f and g were not read for records"
    assert ("not fulfilling --where", 15) in show_records(manifest)[1].rows


def test_a_condition_that_nothing_fulfils_is_no_success(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,n\na,1\n")
    spec = RecordsSpec(rows=(str(tmp_path / "a.csv"),), output=str(tmp_path / "out"), where="n = '2'")
    with pytest.raises(ResultError, match="no row fulfils --where, 1 do not"):
        make_records(lambda: spark, spec)


def test_a_wrong_column_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("txt,price\na,1\n")
    with pytest.raises(InputError, match="no column 'text'.*Did you mean 'txt'"):
        make_records(lambda: None, RecordsSpec(rows=(str(tmp_path / "a.csv"),), output=str(tmp_path / "out")))


FIELD = Path(__file__).resolve().parents[1] / "field/inputs/text"


def test_a_folder_of_what_people_bring_is_counted_to_the_word(spark: Any, tmp_path: Path) -> None:
    spec = CountSpec(corpus=(str(FIELD),), output=str(tmp_path / "out"), orders=(1,), min_count=(1,))
    manifest = count_ngrams(lambda: spark, spec)
    found = {row["text"]: row["count"] for file in manifest.files("counts") for row in pq.read_table(file).to_pylist()}
    assert (found["the"], found["red"], found["fox"], found["hen"]) == (445, 445, 228, 220)
    assert manifest.rejects == {"cut short or garbled": 4, "ragged row": 1}
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert sum(report["files"].values()) == 23 and report["left_out"] == []
