"""`clip-spark count-ngrams`: corpus -> counts: every n-gram above the min count, exactly."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import Job, job_main
from clip_spark.texts.specs import CountSpec

JOB = Job(
    name="count-ngrams",
    spec=CountSpec,
    step="clip_spark.texts.ngrams.count:count_ngrams",
    preview="clip_spark.texts.ngrams.preview:show_counts",
    examples=(
        (
            "count words, pairs and triples of a folder of text",
            "clip-spark count-ngrams --corpus docs/ --output counts/",
        ),
        (
            "only pairs seen ten times, several places",
            "clip-spark count-ngrams --corpus 'a/*.txt.gz,s3://bucket/b/' --orders 2 --min-count 10 --output counts/",
        ),
    ),
    next_command="clip-spark filter-ngrams --counts {output} --output records/",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns its exit status."""
    return job_main(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
