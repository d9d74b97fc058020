"""*Driver.* tag-images: image embeddings x text index -> tags."""

from __future__ import annotations

import sys

from clip_spark.analysis.specs import TagSpec
from clip_spark.commands.console import Job, job_main

JOB = Job(
    name="tag-images",
    spec=TagSpec,
    step="clip_spark.analysis.tag_images:tag_images",
    preview="clip_spark.analysis.tag_images:preview",
    examples=(
        ("ten tags for each picture", "clip-spark tag-images --embeddings images/ --index texts-index/ --output tags/"),
        (
            "and a .knn file beside each picture, as clip-grams writes it",
            "clip-spark tag-images --embeddings images/ --index texts-index/ --output tags/ --sidecars",
        ),
    ),
)


def main(argv: list[str] | None = None) -> int:
    """*Driver.* Run the job; returns the exit status."""
    return job_main(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
