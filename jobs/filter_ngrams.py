"""`clip-spark filter-ngrams`: counts -> records: ranked and cut."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import Job, job_main
from clip_spark.texts.specs import FilterSpec

JOB = Job(
    name="filter-ngrams",
    spec=FilterSpec,
    step="clip_spark.texts.ngrams.filter:filter_ngrams",
    preview="clip_spark.texts.ngrams.preview:show_records",
    examples=(
        (
            "the 20,000 most frequent n-grams of each order",
            "clip-spark filter-ngrams --counts counts/ --top 20000 --output records/",
        ),
        (
            "the pairs and triples that belong together most",
            "clip-spark filter-ngrams --counts counts/ --rank pmi --min-count 20 --output records/",
        ),
    ),
    next_command="clip-spark embed-text --records {output} --output embeddings/",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns its exit status."""
    return job_main(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
