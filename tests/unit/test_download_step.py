"""download-images on the driver: what is refused before anything is asked for."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.errors import SpecError
from clip_spark.pictures.download.specs import DownloadSpec
from clip_spark.pictures.download.step import plan_tasks
from clip_spark.texts.specs import RecordsSpec


def records(place: Path, count: int) -> Manifest:
    """A dataset of links to nowhere."""
    spec = RecordsSpec(rows=("x",), output=str(place), uri_column="url")
    run = begin_run(spec.output, Plan.of("records", spec, {}, 1), overwrite=False)
    rows = {"record_id": [f"{n:032x}" for n in range(count)], "kind": ["image"] * count, "uri": ["no link"] * count}
    table = pa.table(rows)
    with ShardWriter(run.output, run.plan.fingerprint, 0, {"records": table.schema}) as writer:
        writer.write("records", table)
        writer.finish()
    return run.commit()


def test_many_links_need_a_contact(tmp_path: Path) -> None:
    made = records(tmp_path / "r", 10_001)
    with pytest.raises(SpecError, match="10,001 links: give --contact"):
        plan_tasks(DownloadSpec(records=made.uri, output=str(tmp_path / "o")))
    plan_tasks(DownloadSpec(records=made.uri, output=str(tmp_path / "o"), contact="me@example.org"))
