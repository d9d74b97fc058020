"""`clip-spark calibrate-index`: a finished index learns from queries of the other kind what its hubs are."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import command_main, show_found, spark_source
from clip_spark.commands.options import RunOptions
from clip_spark.index.specs import CalibrateSpec


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, calibrate, report; returns the exit status."""

    def work(spec: CalibrateSpec, options: RunOptions) -> None:
        from clip_spark.index.change.calibrate import calibrate_index

        tables = calibrate_index(spark_source("calibrate-index", options), spec)
        show_found("calibrate-index", options, tables)

    return command_main("calibrate-index", argv, work)


if __name__ == "__main__":
    sys.exit(main())
