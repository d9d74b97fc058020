"""`clip-spark plan`: what a run will take, before it costs anything; starts no Spark."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import command_main, show_found
from clip_spark.commands.estimate import plan
from clip_spark.commands.estimate_spec import PlanSpec
from clip_spark.commands.options import RunOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, estimate, show; returns the exit status."""

    def work(spec: PlanSpec, options: RunOptions) -> None:
        found = plan(spec)
        show_found("plan", options, found.tables, found.needed)

    return command_main("plan", argv, work)


if __name__ == "__main__":
    sys.exit(main())
