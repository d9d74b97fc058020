"""`clip-spark make-records`: rows of text or tables -> records, duplicates removed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import Job, job_main
from clip_spark.texts.specs import RecordsSpec

JOB = Job(
    name="make-records",
    spec=RecordsSpec,
    step="clip_spark.texts.make_records:make_records",
    preview="clip_spark.texts.make_records:show_records",
    examples=(
        (
            "one record per line",
            "clip-spark make-records --rows prompts.txt --output records/",
        ),
        (
            "a table, its other columns are kept",
            "clip-spark make-records --rows captions.parquet --text-column caption --output records/",
        ),
        (
            "picture URLs for download-images",
            "clip-spark make-records --rows urls.csv --uri-column url --text-column caption --output records/",
        ),
    ),
    next_command="clip-spark embed-text --records {output} --output embeddings/",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns its exit status."""
    return job_main(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
