"""`clip-spark where-ngram`: lines in which an n-gram stands, and the pictures that it tags; without Spark."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import command_main, show_found
from clip_spark.commands.options import RunOptions
from clip_spark.texts.ngrams.examples.spec import WhereSpec


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, look up, show; returns the exit status."""

    def work(spec: WhereSpec, options: RunOptions) -> None:
        from clip_spark.texts.ngrams.examples.where import where_ngram

        show_found("where-ngram", options, where_ngram(spec).tables(), cut=True)

    return command_main("where-ngram", argv, work)


if __name__ == "__main__":
    sys.exit(main())
