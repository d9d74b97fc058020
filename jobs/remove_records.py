"""*Driver.* remove-records: take records of an index down; with --compact a Spark job erases them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import guarded, show_table
from clip_spark.commands.options import parse_spec
from clip_spark.index.specs import RemoveSpec
from clip_spark.runtime.session import session_source

EXAMPLES = (
    ("take one record down", "clip-spark remove-records --index index/ --ids 0f3a..."),
    ("and erase all that was taken down", """clip-spark remove-records --index index/ --where "n = 1" --compact"""),
)


def main(argv: Sequence[str] | None = None) -> int:
    """*Driver.* Parse, remove, report; returns the exit status."""

    def work() -> None:
        spec, options = parse_spec("clip-spark remove-records", RemoveSpec, EXAMPLES, argv)
        from clip_spark.index.change.remove import remove_records

        source = session_source("clip-spark remove-records", options.master, dict(options.conf))
        show_table(remove_records(source, spec))

    return guarded("remove-records", work)


if __name__ == "__main__":
    sys.exit(main())
