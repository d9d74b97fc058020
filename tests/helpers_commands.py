"""A toy step as a command: writes an empty dataset, or raises what a test put into ERROR."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from clip_spark.analysis.specs import TagSpec
from clip_spark.commands.entry import Command
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.tables import Table
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import collect

ERROR: list[BaseException] = []


def toy_step(source: Any, spec: TagSpec) -> Manifest:
    """Commit a dataset without rows."""
    if ERROR:
        raise ERROR[0]
    run = begin_run(spec.output, Plan.of("tags", spec, {}, 1), overwrite=spec.overwrite)
    if run.manifest is None:
        with ShardWriter(run.output, run.plan.fingerprint, 0, {}) as writer:
            writer.finish()
    return run.manifest or run.commit()


def sleepy_step(source: SessionSource, spec: TagSpec) -> Manifest:
    """A task that says in a file that it runs, and goes on for minutes."""

    def sleep(_: int) -> None:
        Path(spec.embeddings).touch()
        time.sleep(600)

    collect(source(), "toy", source().sparkContext.parallelize([0], 1).map(sleep), 1)
    raise AssertionError("nobody interrupted it")


def toy_preview(manifest: Manifest) -> list[Table]:
    """A table with one row."""
    return [Table("a look", ("word", "count"), [("dog", 12345)])]


def command_of(spec: str, **more: Any) -> Command:
    """A command with a spec, given as `module:Class`, that is in no registry."""
    return Command("toy", group="toys", takes="toys", gives="fun", spec=spec, **more)


SLEEPY = command_of("clip_spark.analysis.specs:TagSpec", step=f"{__name__}:sleepy_step")
TOY = command_of(
    "clip_spark.analysis.specs:TagSpec",
    step=f"{__name__}:toy_step",
    preview=f"{__name__}:toy_preview",
    next_command="look at {output}",
)
