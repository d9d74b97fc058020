"""`clip-spark run`: the steps of a YAML file, in one Spark application, skipping what is done."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from clip_spark.commands.console import Job, guarded, show_table
from clip_spark.commands.options import parse_run
from clip_spark.commands.pipeline import Outcome, read_pipeline, run_pipeline
from clip_spark.datasets.tables import Table
from clip_spark.runtime.session import session_source

STEPS = (
    "count-ngrams",
    "filter-ngrams",
    "make-records",
    "embed-text",
    "embed-images",
    "build-index",
    "tag-images",
    "search-index",
    "describe-set",
)


def jobs() -> dict[str, Job]:
    """Step name -> its Job, from the files beside this one."""
    return {name: importlib.import_module(f"clip_spark.jobs.{name.replace('-', '_')}").JOB for name in STEPS}


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """One row per step."""
    rows = [(o.name, "skipped" if o.skipped else "done", o.manifest.rows, o.seconds, o.manifest.uri) for o in outcomes]
    return Table("steps", ("step", "state", "rows", "seconds", "dataset"), rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, report; returns the exit status."""

    def work() -> None:
        pipeline, options = parse_run("clip-spark run", argv)
        steps = read_pipeline(pipeline.config, pipeline.settings, jobs())
        source = session_source("clip-spark run", options.master, dict(options.conf))
        outcomes = run_pipeline(source, steps, rebuild=pipeline.rebuild)
        show_table(outcome_table(outcomes))

    return guarded("run", work)


if __name__ == "__main__":
    sys.exit(main())
