"""`clip-spark compare-models`: which model finds more in one's own pictures, and what it costs; without Spark."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from clip_spark import storage
from clip_spark.analysis.compare.spec import CompareSpec
from clip_spark.commands.console import command_main, say, say_json, show_table
from clip_spark.commands.estimate import read_rates
from clip_spark.commands.options import RunOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, compare, show and write; returns the exit status."""

    def work(spec: CompareSpec, options: RunOptions) -> None:
        from clip_spark.analysis.compare.page import compare_page
        from clip_spark.analysis.compare.step import compare_models, compared_tables

        found = compare_models(spec, read_rates(spec.rates))
        if options.json:
            say_json(json.dumps({"models": found.figures, "left_out": found.sample.left_out}))
        else:
            for table in compared_tables(found):
                show_table(table)
            for reason, count in found.sample.left_out.most_common():
                say(f"{count:,} left out: {reason}")
        if spec.page:
            storage.write_bytes(storage.absolute(spec.page), compare_page(found).encode())
            say(f"page -> {spec.page}")

    return command_main("compare-models", argv, work)


if __name__ == "__main__":
    sys.exit(main())
