"""Runs that are killed in one of their shards, and what a dataset says when it is finished, without times."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from clip_spark.datasets.manifest import Manifest

TIMES = ("seconds", "created", "seconds_by_stage", "wall_seconds", "rows_per_second", "replaced", "beside", "place")
"""What a clock says, and names that follow from it."""


def told(manifest: Manifest) -> str:
    """Manifest, report, and all rejects, without times; the order of keys counts too."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items() if key not in TIMES}
        return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value

    rejects = [pq.read_table(uri).to_pylist() for uri in manifest.files("rejects")]
    report = json.loads(Path(manifest.locate("report.json")).read_text())
    found = json.dumps([plain(manifest.to_json()), plain(report), rejects], default=list)
    return found.replace(f"{manifest.place}/", "") if manifest.place else found


def killed_in(patch: pytest.MonkeyPatch, work: Any, number: int, run: Callable[[], Any]) -> None:
    """A run whose machine goes away in the task of one shard; those behind it never run."""
    write = work.__call__

    def dies(self: Any, item: Any) -> Any:
        if getattr(item, "number", item) == number:
            raise MemoryError("the machine is gone")
        return write(self, item)

    with patch.context() as once:
        once.setattr(work, "__call__", dies)
        with pytest.raises(MemoryError):
            run()


def disturbed(patch: pytest.MonkeyPatch, work: Any, number: int, run: Callable[[], Manifest]) -> Manifest:
    killed_in(patch, work, number, run)
    return run()


def data_of(manifest: Manifest) -> dict[str, bytes]:
    """Every file of a shard, by its path below the place of its generation."""
    paths = [path for receipt in manifest.receipts for path in receipt.files]
    return {path.removeprefix(f"{manifest.place}/"): Path(manifest.uri, path).read_bytes() for path in paths}
