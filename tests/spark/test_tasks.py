"""What tasks do for the driver, beside the steps themselves."""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path
from typing import Any

import pytest

from clip_spark.datasets.manifest import read_manifest
from clip_spark.datasets.run import begin_run
from clip_spark.runtime import progress, tasks
from clip_spark.runtime.row_counts import count_rows
from tests.helpers_datasets import plan_of, write_shard

pytestmark = pytest.mark.spark


def test_very_many_receipts_are_read_on_the_executors(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "MANY_FILES", 4)
    monkeypatch.setattr(tasks, "CHUNK_FILES", 2)
    asked: list[str] = []
    read = tasks.read_on_executors(lambda: asked.append("session") or spark)
    run = begin_run(str(tmp_path / "d"), plan_of(shards=5), overwrite=False, read=read)
    for number in (2, 0, 1):
        write_shard(run, number)
    assert run.pending() == [3, 4] and not asked  # few
    again = begin_run(run.output, plan_of(shards=5), overwrite=False, read=read)
    for number in again.pending():
        write_shard(again, number)
    fresh = begin_run(run.output, plan_of(shards=5), overwrite=False, read=read)
    assert fresh.receipts() == again.receipts() and asked == ["session"]
    assert fresh.commit().rows == read_manifest(run.output).rows == 10


def test_the_progress_line_moves_inside_of_shards(
    spark: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def slow(item: int) -> int:  # inside, so that it travels by value
        for _ in range(30):
            count_rows(1)
            time.sleep(0.1)
        return item

    monkeypatch.setattr(progress, "LOG_SECONDS", 0)
    monkeypatch.setattr(logging.getLogger("clip_spark"), "propagate", True)
    with caplog.at_level(logging.INFO, "clip_spark"):
        tasks.map_items(spark, "slow", [1], slow)
    assert any(re.match(r"slow: 0 of 1 shards, [1-9]\d* rows, ", line) for line in caplog.messages), caplog.messages
    assert spark.sparkContext.getLocalProperty("clip_spark.rows.told.to") is None
