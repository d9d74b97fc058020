"""`clip-spark run`: the steps of a YAML file, in one Spark application, skipping what is done."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import guarded, say, show_table, spark_source
from clip_spark.commands.options import parse_run
from clip_spark.commands.pipeline import next_line, outcome_table, read_pipeline, run_pipeline
from clip_spark.commands.registry import COMMANDS, STEPS


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, report; returns the exit status."""

    def work() -> None:
        pipeline, options = parse_run(COMMANDS["run"], argv)
        steps = read_pipeline(pipeline.config, pipeline.settings, STEPS)
        outcomes = run_pipeline(spark_source("run", options), steps, rebuild=pipeline.rebuild)
        show_table(outcome_table(outcomes))
        if following := next_line(steps, outcomes):
            say(following)

    return guarded("run", work)


if __name__ == "__main__":
    sys.exit(main())
