"""`clip-spark export-map`: the points of a map as one file for other programs; without Spark."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.analysis.map.export_spec import ExportMapSpec
from clip_spark.commands.console import command_main, show_found
from clip_spark.commands.options import RunOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, export, say what was written; returns the exit status."""

    def work(spec: ExportMapSpec, options: RunOptions) -> None:
        from clip_spark.analysis.map.export import export_map

        show_found("export-map", options, said=f"{export_map(spec):,} points -> {spec.output}")

    return command_main("export-map", argv, work)


if __name__ == "__main__":
    sys.exit(main())
