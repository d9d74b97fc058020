"""*Driver.* describe-set: how a set of images as a whole is described by each class of text."""

from __future__ import annotations

import sys

from clip_spark.analysis.specs import DescribeSpec
from clip_spark.commands.console import Job, job_main

JOB = Job(
    name="describe-set",
    spec=DescribeSpec,
    step="clip_spark.analysis.describe.step:describe_set",
    preview="clip_spark.analysis.describe.step:preview",
    examples=(
        (
            "which single words, pairs and triples describe these pictures, as a table and a page",
            "clip-spark describe-set --embeddings images/ --index texts-index/ --output described/",
        ),
    ),
)


def main(argv: list[str] | None = None) -> int:
    """*Driver.* Run the job; returns the exit status."""
    return job_main(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
