"""*Driver.* build-index: embeddings -> index."""

from __future__ import annotations

import sys

from clip_spark.commands.console import Job, job_main
from clip_spark.index.specs import IndexSpec

JOB = Job(
    name="build-index",
    spec=IndexSpec,
    step="clip_spark.index.build.build:build_index",
    preview="clip_spark.index.build.build:preview",
    examples=(
        (
            "finds 95 % of the true ten nearest",
            "clip-spark build-index --embeddings emb/ --output index/",
        ),
        (
            "at most 4 GB when searched, tuned with text queries over images",
            "clip-spark build-index --embeddings images/ --queries texts/ --max-index-memory 4G --output index/",
        ),
    ),
    next_command="clip-spark search --index {output} --text 'something to look for'",
)


def main(argv: list[str] | None = None) -> int:
    """*Driver.* Run the job; returns the exit status."""
    return job_main(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
