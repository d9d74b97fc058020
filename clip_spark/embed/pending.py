"""*Driver.* The shards of an encoding step that are still to be written, by the tasks of one job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.run import Run
from clip_spark.datasets.taken_over import FinishedShard, MakeOrCopy
from clip_spark.embed.task import IDENTITY, adopt_encoder, noted_encoder
from clip_spark.runtime import devices
from clip_spark.runtime.alone import may_run_alone, run_alone
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import Planned, run_shards


def encode_pending(
    get_spark: SessionSource,
    step: str,
    run: Run,
    planned: Planned,
    work: Callable[[int], Callable[[Any], Receipt]],
    is_small: Callable[[Any], bool],
) -> None:
    """*Driver.* Write what is pending; of a dataset that grows with the encoder of the shards that stay.

    Args:
        get_spark: starts Spark, if there is work.
        step: whose stages these are.
        run: that is not finished.
        planned: all shards of its plan.
        work: torch's threads of a task -> what makes a shard.
        is_small: whether an item takes less time than Spark takes to start.
    """
    encoder = run.grown_from.extra["encoder"] if run.grown_from else _encoder_taken_over(run)
    if encoder:
        adopt_encoder(run.output, encoder)
    items = run.todo(planned.items)
    if may_run_alone(get_spark, items, is_small) and run_alone(step, work(0), items[0]):
        return
    if items:
        spark = get_spark()
        threads = devices.threads_per_task(spark.sparkContext, len(items))
        encode_or_copy = MakeOrCopy(run.output, run.plan.fingerprint, work(threads))
        run_shards(spark, step, items, encode_or_copy, devices.gpu_profile(spark))


def _encoder_taken_over(run: Run) -> dict[str, Any] | None:
    copied = run.growth.copied if run.growth else []
    return noted_encoder(copied[0].place) if copied else None


def of_one_encoder(finished: Sequence[FinishedShard], before: Manifest | None) -> list[FinishedShard]:
    """*Driver.* Those shards that the encoder of the dataset has made; where there is none yet, that of the first."""
    known = before.extra["encoder"] if before else None
    fitting: dict[str, bool] = {}
    for place in dict.fromkeys(one.place for one in finished):
        noted = noted_encoder(place) or {}
        known = known or noted
        fitting[place] = bool(noted) and all(noted.get(key) == known.get(key) for key in IDENTITY)
    return [one for one in finished if fitting[one.place] and one.sources.num_rows]
