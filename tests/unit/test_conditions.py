"""Conditions: what they may say, what they are told, and that they lead to nothing but live records."""

from __future__ import annotations

import datetime as dt
import decimal
import threading

import numpy as np
import pyarrow as pa
import pytest

from clip_spark.datasets.condition.binding import bind
from clip_spark.errors import SpecError
from clip_spark.index.open.matching import matching_positions
from clip_spark.index.open.selection import Selection, select_where
from tests.helpers_conditions import SECRET, Tables, matching, random_records

UTC = dt.UTC
TABLE = pa.table(
    {
        "n": [1, 2, None],
        "text": ["a dog", "100%", None],
        "when": pa.array([dt.datetime(2024, 1, 1, tzinfo=UTC), None, dt.datetime(2025, 1, 1, tzinfo=UTC)],
                         pa.timestamp("us", "Europe/Berlin")),
        "price": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("2.50")], pa.decimal128(38, 2)),
        "wide": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("2.50")], pa.decimal256(50, 2)),
        "tags": [["a"], ["b", "c"], None],
        "blob": [b"x", None, b"y"],
        "half": pa.array(np.array([1, 0, 2], np.float16), mask=np.array([False, True, False])),
        "word": pa.array(["u", "v", None]).dictionary_encode(),
        "pair": [{"a": 1, "deep": {"b.c": "y"}}, None, {"a": 2, "deep": None}],
        "pair.deep.d": ["dotted", "dotted", None],
        "empty": pa.nulls(3),
        "flag": [True, False, None],
        "similar": [0.5, float("nan"), None],
        "span": pa.array([1, None, 2], pa.duration("s")),
    }
)  # fmt: skip
RECORDS = Tables(TABLE)


@pytest.mark.parametrize(
    ("condition", "positions"),
    [
        ("n = 1", [0]),
        ("N = 1 and TEXT is not null", [0]),
        ("n + 1 > 2 or n * -1 = -1", [0, 1]),
        ("not n = 1", [1]),
        ("n is null", [2]),
        ("n is distinct from 1", [1, 2]),
        ("n between 2 and 3", [1]),
        ("n not in (2, 3)", [0]),
        ("coalesce(n, 7) = 7", [2]),
        ("abs(0 - n) = 2", [1]),
        ("cast(n as text) = '2'", [1]),
        ("text like '%dog%'", [0]),
        ("text ilike 'A_DOG'", [0]),
        ("text like '100!%' escape '!'", [1]),
        ("length(text) = 4 and ends_with(text, '%')", [1]),
        ("regexp_matches(upper(text), '^A.*G$')", [0]),
        ("flag", [0]),
        ("flag is not true", [1, 2]),
        ("when >= '2024-06-01'", [2]),
        ("when < '2024-01-01T01:00:01+01:00'", [0]),
        ("when in (timestamp '2025-01-01 00:00:00')", [2]),
        ("date '2024-12-31' < when and year(when) = 2025", [2]),
        ("price > 1.5", [2]),
        ("wide > 1.5", [2]),
        ("half > 1.5", [2]),
        ("similar > 0.1 or similar < 0", [0]),
        ("similar is null", [1, 2]),
        ("word in ('v', 'w')", [1]),
        ("list_contains(tags, 'c') and length(tags) = 2", [1]),
        ("contains(tags, 'a')", [0]),
        ("blob is null and pair is null and span is null", [1]),
        ("pair.a = 2", [2]),
        ("pair.a is null", [1]),
        ("pair.deep.b.c in ('y', 'z') and pair.deep.d = 'dotted'", [0]),
        ("empty is null", [0, 1, 2]),
        ("empty = 'a'", []),
        ("1 = 1", [0, 1, 2]),
        (" or ".join(["n = 1"] * 300), [0]),
        (f"n in ({', '.join(map(str, range(2, 9000)))})", [1]),
    ],
)
def test_conditions_find_their_records(condition: str, positions: list[int]) -> None:
    assert matching(RECORDS, condition) == positions


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("", "The condition is empty"),
        ("txet = 'a'", "at character 1 (txet): there is no such column. Did you mean 'text'? The columns are n, text"),
        ("n = 2 and pair.b = 1", "at character 11 (pair.b): there is no such column"),
        ("text.a = 1", "at character 1 (text.a): there is no such column"),
        ("n = 'a'", "at character 3 (=): a number and a text are compared"),
        ("n", "this is a number and no condition"),
        ("n = 1 or 2", "at character 10 (2): this is a number, and a boolean is needed"),
        ("lowr(text) = 'a'", "at character 1 (lowr): there is no such function. Did you mean 'lower'?"),
        ("lower(text, 1) = 'a'", "lower takes 1 values; here are 2"),
        ("blob = 1", "can only be asked whether it IS NULL"),
        ("tags = 'a'", "ask list_contains"),
        ("when = 'soon'", "this is no time such as '2024-05-31'"),
        ("n = ", "at its end: expected here: a column"),
        ("n = 1 n", "at character 7 (n): expected here: and, or, or the end"),
        ("text = 'dog", "this quote is never closed"),
        ("text like '!' escape '!'", "the pattern ends in its escape character"),
        ("regexp_matches(text, '(')", "at character 22 ('('): this is no regular expression"),
        (f"n = {'9' * 400}", "a number has at most 38 digits"),
        ("n = 1e999", "is finite"),
        ("(" * 200 + "n = 1" + ")" * 200, "nested more than 40 deep"),
        ("not " * 5000 + "flag", "nested more than 40 deep"),
        ("+".join(["n"] * 5000) + " = 1", "nested more than 40 deep"),
        (" and ".join(["n = 1"] * 5000), "more than 1500 parts; IN takes any number"),
        ("n = 1 and " + "x" * 200_000, "at most 100,000 are read"),
        ("n = 1\x00", "no character of this kind"),
        ("n = \ud800", "no character of this kind"),
        ("n = 1\x1b[2J", "at character 6 (?)"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_place(condition: str, sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        matching(RECORDS, condition)
    assert sentence in str(caught.value) and len(str(caught.value)) < 600 and "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "condition",
    [
        "n = error((select string_agg(text, ',') from records))",
        "error('x')",
        "true) union all select 7 --",
        "false) union all select 7 /*",
        "true); create table x as select 1; select (true",
        "n = 1; attach ':memory:' as other",
        "exists (select * from duckdb_settings())",
        "duckdb_settings() is null",
        "sleep_ms(20000) is null",
        "exists (select count(*) from range(1000000000) a, range(1000000000) b)",
        "exists (select * from read_csv('/etc/hostname'))",
        "read_text('/etc/hostname') = 'x'",
        "n in (select n from records)",
        "(select max(text) from records) like 'a%'",
        "n = 1 limit 1",
        "n = 1 order by error(text)",
        "n::int = 1",
        "cast(text as int) = 1",
        "try_cast(text as int) = 1",
        "getenv('HOME') = 'x'",
        "current_setting('memory_limit') = 'x'",
        "columns(*) = 1",
        "list_transform([1], x -> error(x)) is null",
        "repeat(text, 1000000000) = 'x'",
        "n = $1",
        "n = ?",
        "random() < 0.5",
        "case when n = 1 then error(text) end",
        "records.n = 1",
        "row_number() over () = 1",
        "p = 0",
        "c0 = 1",
    ],
)
def test_what_could_lead_out_of_the_records_is_refused(condition: str) -> None:
    records, live = random_records(60, 1)
    with pytest.raises(SpecError, match="The condition cannot be used") as caught:
        matching(records, condition, live)
    assert SECRET not in str(caught.value)


def test_what_was_taken_down_is_neither_found_nor_counted_nor_computed() -> None:
    texts = ["a", "b", SECRET, "c"]
    largest = 2**63 - 1
    records = Tables(pa.table({"text": texts, "big": pa.array([1, 2, largest, 3], pa.int64())}))
    live = np.array([True, True, False, True])
    assert matching(records, f"text = '{SECRET}'", live) == []
    assert matching(records, "big * big > 0", live) == [0, 1, 3]  # the product is too large for the one taken down
    with pytest.raises(SpecError, match="cannot be computed on some record") as caught:
        matching(records, "big * big > 0")
    assert str(largest) not in str(caught.value) and caught.value.__cause__ is None


def test_a_condition_has_a_time_limit() -> None:
    class Endless(Tables):
        def batches(self, columns=()):
            start = 0
            while True:
                for _, batch in super().batches():
                    yield start, batch
                    start = 0

    records = Endless(pa.table({"text": ["a" * 1000] * 2000}))
    with pytest.raises(SpecError, match="takes too long"):
        select_where(records, 2000, "text like '%a_%a_%a_%b'", seconds=0.3)


def test_patterns_take_linear_time() -> None:
    text = "a" * 30_000
    condition = (
        "text like '" + "%a" * 100 + "%b_' or text ilike '" + "%a" * 100 + "%b' or regexp_matches(text, '(a*)*b')"
    )
    with_limit = select_where(Tables(pa.table({"text": [text] * 20})), 20, condition, seconds=60)
    assert with_limit.count == 0


def test_columns_of_later_shards_can_be_used() -> None:
    records = Tables(pa.table({"n": [1]}), pa.table({"n": [2], "label": ["x"]}))
    assert matching(records, "label = 'x'") == [1]
    assert matching(records, "label is null") == [0]


def test_threads_ask_at_once() -> None:
    bound = bind("n = 1", TABLE.schema)
    found: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda: found.append(matching_positions(bound, RECORDS, None).tolist()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[0]] * 8


def test_no_records_are_no_hits() -> None:
    empty = Tables(TABLE.slice(0, 0))
    assert matching(empty, "n = 1") == []
    assert matching(RECORDS, "n = 1", Selection(np.zeros(3, bool)).mask) == []
