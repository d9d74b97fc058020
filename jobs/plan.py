"""`clip-spark plan`: what a run will take, before it costs anything; starts no Spark."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import command_main, say, show_table
from clip_spark.commands.estimate import plan
from clip_spark.commands.estimate_spec import PlanSpec
from clip_spark.commands.options import RunOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, estimate, show; returns the exit status."""

    def work(spec: PlanSpec, _: RunOptions) -> None:
        found = plan(spec)
        for table in found.tables:
            show_table(table)
        if found.needed:
            say(found.needed)

    return command_main("plan", argv, work)


if __name__ == "__main__":
    sys.exit(main())
