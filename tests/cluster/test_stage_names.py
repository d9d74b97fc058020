"""Spark's web page names every stage by the step that runs it, so that a slow one is found by its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.steps import STEPS
from tests.services.inputs import write_inputs, write_links
from tests.services.picture_web import picture_web

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def stage_names(spark: SparkSession) -> dict[int, str]:
    """Number -> description of all stages so far, from the store that the web page shows."""
    context: Any = spark.sparkContext
    no_quantiles = context._gateway.new_array(context._jvm.double, 0)
    stages = context._jsc.sc().statusStore().stageList(None, False, False, no_quantiles, None)
    found = {}
    for number in range(stages.size()):
        stage = stages.apply(number)
        found[stage.stageId()] = stage.description().getOrElse(None) if stage.description().isDefined() else ""
    return found


@pytest.mark.spark
@pytest.mark.timeout(300)
def test_every_stage_is_named_by_its_step(spark: SparkSession, tmp_path: Path) -> None:
    write_inputs(tmp_path / "in")
    with picture_web() as web:
        write_links(str(tmp_path / "in/links"), web)
        for step in STEPS:
            before = stage_names(spark)
            step.job.run(lambda: spark, step.spec(str(tmp_path), str(tmp_path / step.dataset)))
            new = [name for stage, name in stage_names(spark).items() if stage not in before]
            odd = {name for name in new if not name.startswith(f"clip-spark {step.command}")}
            assert new and not odd, f"{step.command}: {odd or 'no stage'}"
