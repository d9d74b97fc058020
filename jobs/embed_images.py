"""embed-images: pictures -> embeddings."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import Job, job_main
from clip_spark.embed.specs import EmbedImagesSpec

JOB = Job(
    name="embed-images",
    spec=EmbedImagesSpec,
    step="clip_spark.embed.pictures:embed_images",
    preview="clip_spark.embed:preview",
    examples=(
        ("a folder of pictures", "clip-spark embed-images --images photos/ --output emb/"),
        (
            "webdataset tars, with keys of their .json as columns of the records",
            "clip-spark embed-images --images s3://bucket/tars/ --metadata-columns name,group --output emb/",
        ),
    ),
    next_command="clip-spark build-index --embeddings {output} --output index/",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns its exit status."""
    return job_main(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
