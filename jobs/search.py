"""*Driver.* search: query -> hits, in the terminal; without Spark."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import guarded, show_table
from clip_spark.commands.options import parse_spec
from clip_spark.search.spec import SearchSpec

EXAMPLES = (
    ("the ten nearest to a text", "clip-spark search --index index/ --text 'a red bicycle'"),
    ("the five nearest to a picture, as JSON lines", "clip-spark search --index index/ --image cat.jpg -k 5 --json"),
    ("what is like a hit", "clip-spark search --index index/ --like 0f3a..."),
    ("what is wanted and what is not", """clip-spark search --index index/ --query '"beach" + sea.jpg - "people"'"""),
    ("a page of pictures", "clip-spark search --index index/ --text dog --unique 0.95 --show dogs.html"),
    ("only some records", """clip-spark search --index index/ --text dog --where "n = 2 and count > 100\""""),
)


def main(argv: Sequence[str] | None = None) -> int:
    """*Driver.* Parse, search, show; returns the exit status."""

    def work() -> None:
        spec, options = parse_spec("clip-spark search", SearchSpec, EXAMPLES, argv, spark=False)
        from clip_spark.search.answers import answer_table, json_lines, save_answers, save_sheet
        from clip_spark.search.command import run_query

        answers = run_query(spec)
        if spec.save:
            save_answers(spec.save, answers)
        if spec.show:
            save_sheet(spec.show, answers)
        if options.json:
            sys.stdout.write(json_lines(answers))
            return
        for answer in answers:
            show_table(answer_table(answer, spec.columns))

    return guarded("search", work)


if __name__ == "__main__":
    sys.exit(main())
