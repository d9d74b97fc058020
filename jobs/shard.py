"""`clip-spark shard DATASET N --output FOLDER`: one task of a plan in this process, without Spark."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from clip_spark.commands.console import guarded, say_json, show_table
from clip_spark.commands.one_shard import dataset_plan, run_one
from clip_spark.commands.options import parse_values, plain_parser
from clip_spark.commands.registry import COMMANDS


def parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, dict[str, Any]]:
    """The command line: ours, and options of the dataset's step."""
    parser = plain_parser(COMMANDS["shard"])
    parser.add_argument("dataset", metavar="DATASET", help="folder of a dataset, finished or not; it stays as it is")
    parser.add_argument("number", metavar="N", type=int, help="number of the shard, from 0")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="empty folder for what the task writes")
    parser.add_argument("--json", action="store_true", help="print the receipt as one JSON line")
    given, rest = parser.parse_known_args(argv)
    return given, parse_values(dataset_plan(given.dataset)[1], rest)[0]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run the task, show its receipt; returns the exit status."""

    def work() -> None:
        given, more = parse(argv)
        ran = run_one(given.dataset, given.number, given.output, more)
        if given.json:
            known = ran.known.to_json() if ran.known else None
            event = {"event": "receipt", "step": ran.step, "receipt": ran.receipt.to_json(), "in_dataset": known}
            say_json(json.dumps(event, ensure_ascii=False))
        else:
            show_table(ran.table())

    return guarded("shard", work)


if __name__ == "__main__":
    sys.exit(main())
