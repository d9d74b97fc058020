"""*Driver.* The shards of an encoding step that are still to be written, by the tasks of one job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.run import Run
from clip_spark.embed.task import adopt_encoder
from clip_spark.runtime import devices
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import Planned, run_shards


def encode_pending(
    get_spark: SessionSource, step: str, run: Run, planned: Planned, work: Callable[[int], Callable[[Any], Receipt]]
) -> None:
    """*Driver.* Write what is pending; of a dataset that grows with the encoder of the shards that stay.

    Args:
        get_spark: starts Spark, if there is work.
        step: whose stages these are.
        run: that is not finished.
        planned: all shards of its plan.
        work: torch's threads of a task -> what makes a shard.
    """
    if run.grown_from:
        adopt_encoder(run.output, run.grown_from.extra["encoder"])
    if items := run.todo(planned.items):
        spark = get_spark()
        threads = devices.threads_per_task(spark.sparkContext, len(items))
        run_shards(spark, step, items, work(threads), devices.gpu_profile(spark))
