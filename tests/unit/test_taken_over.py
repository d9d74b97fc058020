"""Which shards of runs that were killed are taken over: whole, unchanged ones, and no source twice."""

from __future__ import annotations

import numpy as np
import pytest

from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.sources import sources_table
from clip_spark.datasets.taken_over import FinishedShard, unchanged

NOW = {"a": "1", "b": "1", "c": "1"}


def shard(number: int, sources: dict[str, str]) -> FinishedShard:
    """One that was made of some sources with some stamps."""
    receipt = Receipt(number, "plan", len(sources), {})
    return FinishedShard("place", receipt, sources_table([*sources], [*sources.values()], [number] * len(sources)))


@pytest.mark.parametrize(
    ("finished", "taken", "left"),
    [
        ([{"a": "1", "b": "1"}], [0], [2]),
        ([{"a": "1", "b": "2"}], [], [0, 1, 2]),  # one of its files has changed
        ([{"a": "1", "gone": "1"}], [], [0, 1, 2]),
        ([{"a": "1", "b": "1"}, {"b": "1", "c": "1"}], [0], [2]),  # two runs, divided otherwise
        ([{"a": "1"}, {"a": "1"}, {"b": "1"}], [0, 2], [2]),
        ([], [], [0, 1, 2]),
    ],
)
def test_whole_unchanged_shards_are_taken_and_no_source_twice(
    finished: list[dict[str, str]], taken: list[int], left: list[int]
) -> None:
    """What two killed runs both have made would else be there twice."""
    shards = [shard(number, sources) for number, sources in enumerate(finished)]
    now = sources_table([*NOW], [*NOW.values()], [0] * len(NOW))
    found, todo = unchanged(shards, now, np.arange(len(NOW)))
    assert [one.receipt.shard for one in found] == taken
    assert todo.tolist() == left
