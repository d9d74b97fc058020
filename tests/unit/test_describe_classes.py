"""Classes of describe-set: the condition of each value finds the rows that hold it, whatever the column's type."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import pyarrow as pa
import pytest

from clip_spark.analysis.classes import class_condition, class_name
from tests.helpers_conditions import Tables, matching

UTC = dt.UTC
COLUMNS: dict[str, Any] = {
    "boolean": [True, False, None, True],
    "number": [1, -2, None, 1],
    "fraction": pa.array([0.1, 3.0, None, 1e-7, 1e20, 123456789.5]),
    "float32": pa.array([0.1, 3.0, None], pa.float32()),
    "decimal": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("2.25")], pa.decimal128(8, 2)),
    "day": [dt.date(2024, 1, 2), None, dt.date(2023, 5, 6)],
    "moment": pa.array([dt.datetime(2024, 1, 2, 3, 4, 5), None, dt.datetime(2024, 1, 2)], pa.timestamp("us")),
    'it\'s "odd"': ["it's", None, 'say "x"', ""],
}


@pytest.mark.parametrize("column", list(COLUMNS))
def test_each_class_finds_its_own_rows(column: str) -> None:
    array = pa.array(COLUMNS[column])
    values = array.to_pylist()
    records = Tables(pa.table({column: array}))
    for name in {class_name(value, array.type) for value in values if value is not None}:
        wanted = [
            row for row, value in enumerate(values) if value is not None and class_name(value, array.type) == name
        ]
        assert matching(records, class_condition(column, name)) == wanted, name
