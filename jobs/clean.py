"""`clip-spark clean FOLDER ...`: show, or with --delete delete, what killed jobs left below a folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from clip_spark.commands.clean import Tally, delete_each, find_leftovers
from clip_spark.commands.console import guarded, say, show_table
from clip_spark.commands.options import plain_parser
from clip_spark.commands.registry import COMMANDS


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = plain_parser(COMMANDS["clean"])
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="folders (URIs) below which datasets lie")
    parser.add_argument(
        "--older-than", type=float, default=24.0, metavar="HOURS", help="leave younger ones: a job may be running (24)"
    )
    parser.add_argument("--unfinished", action="store_true", help="also runs without a manifest; they could be resumed")
    parser.add_argument("--delete", action="store_true", help="really delete; else it is only shown")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Find, show, delete; returns the exit status."""

    def work() -> None:
        given, tally = parse(argv), Tally()
        for folder in given.folders:
            found = find_leftovers(folder, older_than_hours=given.older_than, unfinished=given.unfinished)
            for one in delete_each(found, given.older_than) if given.delete else found:
                tally.add(one)
        for table in tally.tables():
            show_table(table)
        number, size = tally.numbers.total(), tally.sizes.total()
        what = "deleted" if given.delete else "found; --delete deletes them"
        say(f"clean: {number:,} leftovers, {size:,} bytes, {what}." if number else "clean: nothing left behind.")

    return guarded("clean", work)


if __name__ == "__main__":
    sys.exit(main())
