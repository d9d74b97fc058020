"""`clip-spark verify-dataset`: whether all of a publication or a dataset is there; without Spark."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.analysis.publish.spec import VerifySpec
from clip_spark.commands.console import command_main, show_found
from clip_spark.commands.options import RunOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, read everything, say what was found; returns the exit status."""

    def work(spec: VerifySpec, options: RunOptions) -> None:
        from clip_spark.analysis.publish.verify import verify_dataset

        show_found("verify-dataset", options, said=verify_dataset(spec))

    return command_main("verify-dataset", argv, work)


if __name__ == "__main__":
    sys.exit(main())
