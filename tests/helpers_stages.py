"""What Spark's web page calls the stages that a step runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def stages_during(spark: Any, run: Callable[[], object]) -> list[str]:
    """Run something; gives the descriptions of the stages that it had, from the store that the web page shows."""
    before = _described(spark)
    run()
    return [name for stage, name in _described(spark).items() if stage not in before]


def _described(spark: Any) -> dict[int, str]:
    context = spark.sparkContext
    no_quantiles = context._gateway.new_array(context._jvm.double, 0)
    stages = context._jsc.sc().statusStore().stageList(None, False, False, no_quantiles, None)
    found = [stages.apply(number) for number in range(stages.size())]
    return {one.stageId(): one.description().get() if one.description().isDefined() else "" for one in found}
