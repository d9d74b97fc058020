"""`clip-spark search`: query -> hits, in the terminal; without Spark. Without a query on a terminal: a prompt."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import command_main, say_json, show_table
from clip_spark.commands.options import RunOptions
from clip_spark.search.resident import Shown, ask_servers
from clip_spark.search.spec import SearchSpec


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, search, show; returns the exit status."""

    def work(spec: SearchSpec, options: RunOptions) -> None:
        if not spec.asked and not options.json and sys.stdin.isatty() and sys.stdout.isatty():
            from clip_spark.commands.prompt import run_prompt

            run_prompt(spec)
            return
        found = ask_servers(spec) or search_here(spec)
        if options.json:
            say_json("".join(lines for _, lines in found).rstrip("\n"))
            return
        for table, _ in found:
            show_table(table, cut=True)

    return command_main("search", argv, work)


def search_here(spec: SearchSpec) -> list[Shown]:
    """Search in this process, and write the files that were asked for."""
    from clip_spark.search.answers import save_answers, save_sheet, shown
    from clip_spark.search.command import run_query

    answers = run_query(spec)
    if spec.save:
        save_answers(spec.save, answers)
    if spec.show:
        save_sheet(spec.show, answers)
    return [shown(hits, spec.shown_columns) for hits in answers]


if __name__ == "__main__":
    sys.exit(main())
