"""`clip-spark remove-records`: take records of an index down; with --compact a Spark job erases them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import command_main, show_found, spark_source
from clip_spark.commands.options import RunOptions
from clip_spark.index.specs import RemoveSpec


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, remove, report; returns the exit status."""

    def work(spec: RemoveSpec, options: RunOptions) -> None:
        from clip_spark.index.change.remove import remove_records

        show_found("remove-records", options, [remove_records(spark_source("remove-records", options), spec)])

    return command_main("remove-records", argv, work)


if __name__ == "__main__":
    sys.exit(main())
