"""make-records: which rows become records, and what tells them apart."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip_spark.datasets.schema import record_id
from clip_spark.errors import InputError, SpecError
from clip_spark.texts import corpus
from clip_spark.texts.make_records import plan_rows
from clip_spark.texts.record_shards import WriteShard
from clip_spark.texts.row_choice import sampled
from clip_spark.texts.specs import RecordsSpec

TABLE = "caption,width,key\na red fox,300,x\na blue hen,20,y\na grey owl,wide,z\na white hare,900,\n"


def made(tmp_path: Path, table: str = TABLE, shards: int = 2, **options: Any) -> tuple[list[dict[str, Any]], Any]:
    """The records of a table in order, and the sums of rejects and counters of all shards."""
    (tmp_path / "a.csv").write_text(table)
    options = {"text_column": "caption", **options}
    spec = RecordsSpec(rows=(str(tmp_path / "a.csv"),), output=str(tmp_path / "out"), **options)
    planned = plan_rows(corpus.list_corpus(spec.rows, "rows").files, spec)
    parts = [part for file in planned.files for part in planned.reader(spec, shards)(file)]
    write = WriteShard(planned.columns, "text" if spec.id_column else "", spec.output, "p")
    rows: list[dict[str, Any]] = []
    sums: Counter[str] = Counter()
    for shard in range(shards):
        (receipt,) = write(shard, [part for part in parts if part[0] == shard])
        sums.update({**receipt.counters, **receipt.rejects})
        rows += pa.parquet.read_table(tmp_path / f"out/records/{shard:05}.parquet").to_pylist()
    return rows, sums


def texts(rows: list[dict[str, Any]]) -> set[str]:
    return {row["text"] for row in rows}


def test_a_condition_names_columns_as_the_table_does_or_as_records_do(tmp_path: Path) -> None:
    for where in ("caption like '%e%' and key in ('x', 'y')", "text like '%e%' and key in ('x', 'y')"):
        rows, sums = made(tmp_path, where=where)
        assert texts(rows) == {"a red fox", "a blue hen"} and sums["filtered"] == 2
        assert sums["rows"] == 4


def test_a_condition_looks_inside_of_columns_as_other_options_do(tmp_path: Path) -> None:
    table = (
        '[{"doc": {"prompt": "a fox", "lang": "en"}}, {"doc": {"prompt": "ein Fuchs", "lang": "de"}}, {"doc": null}]'
    )
    for where in ("doc.prompt = 'a fox'", "doc.lang = 'en'", "text like '%fox' and doc.lang is not null"):
        assert texts(made(tmp_path, table, text_column="doc.prompt", where=where)[0]) == {"a fox"}


def test_text_that_is_a_number_is_compared_as_one_and_other_text_is_null(tmp_path: Path) -> None:
    assert texts(made(tmp_path, where="cast(width as double) >= 100")[0]) == {"a red fox", "a white hare"}
    assert texts(made(tmp_path, where="cast(width as double) is null")[0]) == {"a grey owl"}


def test_a_mistake_in_a_condition_is_found_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="widht"):
        made(tmp_path, where="widht > 3")


@given(st.integers(0, 50), st.floats(0.01, 0.99))
def test_a_sample_is_of_its_share_and_a_part_of_every_larger_one(seed: int, share: float) -> None:
    ids = pa.chunked_array([[record_id(str(number)) for number in range(2_000)]])
    found = sampled(ids, share, seed)
    assert abs(found.mean() - share) < 0.06  # over five standard deviations
    assert not np.any(found & ~sampled(ids, min(1.0, share + 0.1), seed))


def test_samples_of_two_seeds_have_nothing_to_do_with_each_other() -> None:
    ids = pa.chunked_array([[record_id(str(number)) for number in range(4_000)]])
    one, other = sampled(ids, 0.5, 1), sampled(ids, 0.5, 2)
    assert abs((one & other).mean() - 0.25) < 0.04


def test_a_sample_is_the_same_for_any_number_of_shards_and_counts_what_it_leaves(tmp_path: Path) -> None:
    table = "caption\n" + "".join(f"text {number}\n" for number in range(200))
    few, sums = made(tmp_path, table, shards=1, sample=0.25, seed=7)
    many, _ = made(tmp_path, table, shards=5, sample=0.25, seed=7)
    assert texts(few) == texts(many) and len(few) + sums["not sampled"] == 200 and 20 < len(few) < 80


def test_ids_of_the_user_tell_rows_apart(tmp_path: Path) -> None:
    rows, sums = made(tmp_path, "caption,key\na fox,1\na fox,2\na hen,1\na fox,1\na hare,\n", id_column="key")
    assert {(row["record_id"], row["text"], row["key"]) for row in rows} == {
        (record_id("1"), "a fox", "1"),
        (record_id("2"), "a fox", "2"),
    }
    assert (sums["the id of another row"], sums["duplicates"], sums["no id"]) == (1, 1, 1)
    assert sums["rows"] == 3, "two are rejects"


def test_a_mistyped_column_of_ids_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'kez'.*--id-column.*Did you mean 'key'"):
        made(tmp_path, id_column="kez")


def test_options_that_came_later_leave_the_datasets_of_before_known() -> None:
    plain = RecordsSpec(rows=("a",), output="o")
    assert plain.content() == {"text_column": "text", "uri_column": "", "encoding": "auto"}
    assert RecordsSpec(rows=("a",), output="o", limit=5).fingerprint() != plain.fingerprint()
