"""`clip-spark publish`: an index and its data in the layout of another tool; without Spark."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.analysis.publish.spec import PublishSpec
from clip_spark.commands.console import command_main, show_found
from clip_spark.commands.options import RunOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, publish, say what was written; returns the exit status."""

    def work(spec: PublishSpec, options: RunOptions) -> None:
        from clip_spark.analysis.publish.step import publish

        show_found("publish", options, said=f"{publish(spec):,} rows -> {spec.output}")

    return command_main("publish", argv, work)


if __name__ == "__main__":
    sys.exit(main())
