"""*Driver.* search-index: queries x index -> hits."""

from __future__ import annotations

import sys

from clip_spark.analysis.specs import SearchIndexSpec
from clip_spark.commands.console import Job, job_main

JOB = Job(
    name="search-index",
    spec=SearchIndexSpec,
    step="clip_spark.analysis.search_index:search_index",
    preview="clip_spark.analysis.search_index:preview",
    examples=(
        (
            "the ten nearest pictures of each of a million texts",
            "clip-spark search-index --queries texts/ --index images-index/ --columns uri,caption --output hits/",
        ),
    ),
)


def main(argv: list[str] | None = None) -> int:
    """*Driver.* Run the job; returns the exit status."""
    return job_main(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
