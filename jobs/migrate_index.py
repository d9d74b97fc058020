"""`clip-spark migrate-index`: the records of an index by another model, built beside it, compared, switched."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence

from clip_spark.analysis.migrate.spec import MigrateSpec
from clip_spark.commands.console import command_main, say, say_json, show_table, spark_source
from clip_spark.commands.options import RunOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, migrate, report; returns the exit status."""

    def work(spec: MigrateSpec, options: RunOptions) -> None:
        from clip_spark.analysis.migrate.step import migrate_index, migrated_tables

        found = migrate_index(spark_source("migrate-index", options), spec)
        if options.json:
            say_json(json.dumps(dataclasses.asdict(found)))
            return
        for table in migrated_tables(found):
            show_table(table)
        say(found.said)

    return command_main("migrate-index", argv, work)


if __name__ == "__main__":
    sys.exit(main())
