"""`clip-spark export-tags`: tags beside pictures and in them, as other programs read them; and back."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.analysis.exported_tags.spec import ExportTagsSpec
from clip_spark.commands.console import command_main, show_found, spark_source
from clip_spark.commands.options import RunOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, export or undo, say what became of the files; returns the exit status."""

    def work(spec: ExportTagsSpec, options: RunOptions) -> None:
        from clip_spark.analysis.exported_tags.step import export_tags

        show_found("export-tags", options, [export_tags(spark_source("export-tags", options), spec)])

    return command_main("export-tags", argv, work)


if __name__ == "__main__":
    sys.exit(main())
