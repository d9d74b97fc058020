"""`clip-spark search`: query -> hits, in the terminal; without Spark. Without a query on a terminal: a prompt."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import command_main, say_json, show_table
from clip_spark.commands.options import RunOptions
from clip_spark.search.spec import SearchSpec


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, search, show; returns the exit status."""

    def work(spec: SearchSpec, options: RunOptions) -> None:
        from clip_spark.search.answers import hits_table, json_lines, save_answers, save_sheet
        from clip_spark.search.command import run_query

        if not spec.asked and not options.json and sys.stdin.isatty() and sys.stdout.isatty():
            from clip_spark.commands.prompt import run_prompt

            run_prompt(spec)
            return
        answers = run_query(spec)
        if spec.save:
            save_answers(spec.save, answers)
        if spec.show:
            save_sheet(spec.show, answers)
        if options.json:
            say_json(json_lines(answers).rstrip("\n"))
            return
        for hits in answers:
            show_table(hits_table(hits, spec.columns), cut=True)

    return command_main("search", argv, work)


if __name__ == "__main__":
    sys.exit(main())
