"""`clip-spark plan`: what a run will take, before it costs anything; starts no Spark."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import guarded, show_table
from clip_spark.commands.estimate import plan
from clip_spark.commands.estimate_spec import PlanSpec
from clip_spark.commands.options import parse_spec

EXAMPLES = (
    ("LAION-400M on 8 A100", "clip-spark plan --pictures 400M --model ViT-L-14 --gpus 8"),
    ("your own folder, your own rates", "clip-spark plan --images s3://bucket/tars --rates rates.yaml"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, estimate, show; returns the exit status."""

    def work() -> None:
        spec, _ = parse_spec("clip-spark plan", PlanSpec, EXAMPLES, argv, spark=False)
        for table in plan(spec):
            if table.rows:
                show_table(table)

    return guarded("plan", work)


if __name__ == "__main__":
    sys.exit(main())
