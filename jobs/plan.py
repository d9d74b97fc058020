"""`clip-spark plan`: what a run will take, before it costs anything; starts no Spark."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import command_main, show_table
from clip_spark.commands.estimate import plan
from clip_spark.commands.estimate_spec import PlanSpec
from clip_spark.commands.options import RunOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, estimate, show; returns the exit status."""

    def work(spec: PlanSpec, _: RunOptions) -> None:
        for table in plan(spec):
            if table.rows:
                show_table(table)

    return command_main("plan", argv, work)


if __name__ == "__main__":
    sys.exit(main())
