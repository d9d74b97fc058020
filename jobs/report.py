"""`clip-spark report FOLDER ...`: what a whole pipeline did and cost, as tables, JSON and one HTML page; no Spark."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from clip_spark import storage
from clip_spark.commands.console import guarded, say, say_json, show_table
from clip_spark.commands.options import plain_parser
from clip_spark.commands.registry import COMMANDS


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = plain_parser(COMMANDS["report"])
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="folders (URIs) below which datasets lie")
    parser.add_argument("--output", default="", metavar="FILE", help="page to write, such as report.html")
    parser.add_argument("--event-log", default="", metavar="URI", help="folder of Spark's event logs, or one of them")
    parser.add_argument("--rates", default="", metavar="FILE", help="YAML with prices (conf/rates/published.yaml)")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON instead of tables")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Read, sum up, show; returns the exit status."""

    def work() -> None:
        given = parse(argv)
        from clip_spark.commands.estimate import read_rates
        from clip_spark.commands.report.report_page import report_page
        from clip_spark.commands.report.spark_log import read_logs
        from clip_spark.commands.report.work import read_work, tables

        applications = read_logs(given.event_log) if given.event_log else []
        found = read_work(given.folders, read_rates(given.rates), applications)
        if given.output:
            storage.write_bytes(storage.absolute(given.output), report_page(found).encode())
        if given.json:
            say_json(json.dumps(found.to_json(), ensure_ascii=False))
            return
        for table in tables(found):
            show_table(table)
        say(f"report: {len(found.datasets)} datasets -> {given.output}" if given.output else
            "report: --output report.html writes this as a page with plots.")  # fmt: skip

    return guarded("report", work)


if __name__ == "__main__":
    sys.exit(main())
