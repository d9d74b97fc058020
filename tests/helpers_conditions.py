"""Records in memory for tests of conditions: live ones, and some that were taken down and must never be seen."""

from __future__ import annotations

import datetime as dt
import decimal
import random
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from clip_spark.index.open.selection import Selection, check_where, select_where

SECRET = "SECRET"
"""In every text of a record that was taken down."""


class Tables:
    """What conditions need of a RecordReader."""

    def __init__(self, *tables: pa.Table) -> None:
        self.tables = tables
        self.rows = sum(table.num_rows for table in tables)

    @property
    def schema(self) -> pa.Schema:
        return pa.unify_schemas([table.schema for table in self.tables], promote_options="default")

    def batches(self, columns: Sequence[str] = ()) -> Iterator[tuple[int, pa.RecordBatch]]:
        start = 0
        for table in self.tables:
            for batch in table.to_batches():
                yield start, batch
                start += batch.num_rows


def matching(records: Tables, condition: str, live: np.ndarray | None = None) -> list[int]:
    """Positions of live records that fulfil a condition, after the driver's check."""
    check_where(records, condition)
    alive = None if live is None else Selection(live)
    return np.flatnonzero(select_where(records, records.rows, condition, alive).mask).tolist()


def random_records(rows: int, seed: int) -> tuple[Tables, np.ndarray]:
    """Records of many types with nulls, and which of them are live: bool (rows,)."""
    draw = random.Random(seed)
    live = np.array([draw.random() < 0.8 for _ in range(rows)])

    def some(make) -> list:
        return [make() if draw.random() < 0.85 else None for _ in range(rows)]

    words = ["dog", "Dog", "a dog", "cat", "100%", "a_b", "it's", 'say "hi"', "é", "ÉA", "", "two\nlines", "(x|y)*"]
    texts = [draw.choice(words) if alive else f"{SECRET} {draw.choice(words)}" for alive in live]
    columns = {
        "text": pa.array([text if draw.random() < 0.9 or SECRET in text else None for text in texts]),
        "n": pa.array(some(lambda: draw.randint(-3, 5)), pa.int32()),
        "Count": pa.array(some(lambda: draw.choice([0, 1, 7, 2**62])), pa.int64()),
        "score": pa.array(some(lambda: draw.choice([-1.5, 0.0, 0.25, 3.0])), pa.float64()),
        "price": pa.array(some(lambda: decimal.Decimal(draw.randint(0, 500)) / 100), pa.decimal128(8, 2)),
        "flag": pa.array(some(lambda: draw.random() < 0.5), pa.bool_()),
        "day": pa.array(some(lambda: dt.date(2024, 1, draw.randint(1, 28))), pa.date32()),
        "seen": pa.array(
            some(lambda: dt.datetime(2024, 1, draw.randint(1, 28), draw.randint(0, 23))), pa.timestamp("us")
        ),
        "tags": pa.array(some(lambda: draw.sample(["a", "b", "c"], draw.randint(0, 3))), pa.list_(pa.string())),
        "odd name": pa.array(some(lambda: draw.randint(0, 2)), pa.int64()),
    }
    table = pa.table(columns)
    half = rows // 2
    return Tables(table.slice(0, half), table.slice(half).drop_columns(["odd name"])), live
