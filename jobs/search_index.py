"""*Driver.* search-index: queries x index -> hits."""

from __future__ import annotations

import sys

from clip_spark.console import Job, job_main
from clip_spark.specs.search import SearchIndexSpec

JOB = Job(
    name="search-index",
    spec=SearchIndexSpec,
    step="clip_spark.search_job:search_index",
    preview="clip_spark.search_job:preview",
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
