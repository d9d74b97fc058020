"""`clip-spark adopt-index`, for spark-submit; clip_spark/commands/registry.py says what it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import job_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step; returns its exit status."""
    return job_main("adopt-index", argv)


if __name__ == "__main__":
    sys.exit(main())
