"""*Driver.* search: query -> hits, in the terminal; without Spark."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from clip_spark.console import guarded, show_table
from clip_spark.settings import parse_spec
from clip_spark.specs.search import SearchSpec

EXAMPLES = (
    ("the ten nearest to a text", "clip-spark search --index index/ --text 'a red bicycle'"),
    ("the five nearest to a picture, as JSON lines", "clip-spark search --index index/ --image cat.jpg -k 5 --json"),
    ("what is like a hit", "clip-spark search --index index/ --like 0f3a..."),
)


def main(argv: Sequence[str] | None = None) -> int:
    """*Driver.* Parse, search, show; returns the exit status."""

    def work() -> None:
        from clip_spark.query import hit_json, hits_table, run_query

        spec, options = parse_spec("clip-spark search", SearchSpec, EXAMPLES, argv)
        hits = run_query(spec)
        if options.json:
            sys.stdout.writelines(json.dumps(hit_json(hit), ensure_ascii=False) + "\n" for hit in hits)
        else:
            show_table(hits_table(spec, hits))

    return guarded("search", work)


if __name__ == "__main__":
    sys.exit(main())
