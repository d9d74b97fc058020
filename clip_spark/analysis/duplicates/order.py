"""*Worker.* Which of several records is better: that with the greater value of `--keep`, else the first of the set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from clip_spark.analysis.duplicates.shards import Shard
from clip_spark.datasets.condition.binding import Bound, bind_value
from clip_spark.datasets.condition.evaluate import check_value, values_of
from clip_spark.datasets.schema import check_columns
from clip_spark.errors import SpecError

FIRST, LARGEST, OLDEST = "first", "largest", "oldest"
TIMES = ("taken", "created", "created_at", "date", "datetime", "time", "timestamp", "year")
"""Columns that say how old a record is, the first of these that there is."""


@dataclass(frozen=True)
class Order:
    """What decides; picklable. `bound` is None where the first of the set is kept."""

    bound: Bound | None

    def values(self, shard: Shard) -> np.ndarray:
        """*Worker.* Of each record of a shard, float64 (rows,), the greatest is the best; -inf where there is none."""
        if self.bound is None:
            return np.zeros(shard.rows)
        return values_of(self.bound, shard.columns(self.bound.columns))


def parse_keep(keep: str, records: pa.Schema) -> Order:
    """*Driver.* What `--keep` means for records of these columns; raises SpecError where it cannot mean anything."""
    if keep == FIRST:
        return Order(None)
    if keep == LARGEST:
        check_columns(("width", "height"), records.names)
        return Order(bind_value("width * height", records))
    word, colon, column = keep.partition(":")
    if word == OLDEST:
        return Order(_negative(bind_value(_time_column(column if colon else "", records), records)))
    bound = bind_value(keep, records)
    check_value(bound, records)
    return Order(bound)


def _time_column(column: str, records: pa.Schema) -> str:
    """*Pure.* The column of `oldest`, quoted."""
    if column:
        check_columns((column,), records.names)
    found = column or next((name for name in TIMES if name in records.names), "")
    if not found:
        raise SpecError(
            f"--keep oldest needs a column called {', '.join(TIMES[:-1])} or {TIMES[-1]}; these records have "
            f"{', '.join(records.names)}. Write --keep oldest:COLUMN."
        )
    return '"{}"'.format(found.replace('"', '""'))


def _negative(bound: Bound) -> Bound:
    return Bound(f"-({bound.sql})", bound.columns, bound.patterns)
