"""embed-text: records -> embeddings."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from clip_spark.commands.console import Job, job_main
from clip_spark.embed.specs import EmbedTextSpec

JOB = Job(
    name="embed-text",
    spec=EmbedTextSpec,
    step="clip_spark.embed.texts:embed_text",
    preview="clip_spark.embed:preview",
    examples=(
        ("records to embeddings with the bundled model", "clip-spark embed-text --records records/ --output emb/"),
        (
            "with OpenAI's model, and words around every text that the records do not have",
            "clip-spark embed-text --records records/ --model ViT-B/32 --prefix 'a photo of a ' --output emb/",
        ),
        (
            "each text said in two ways, the mean of both: better tags",
            "clip-spark embed-text --records records/ --templates 'a photo of a {},a drawing of a {}' --output emb/",
        ),
        (
            "the captions of embedded pictures, under the pictures' ids",
            "clip-spark embed-text --records image-emb/ --text-column caption --output caption-emb/",
        ),
    ),
    next_command="clip-spark build-index --embeddings {output} --output index/",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns its exit status."""
    return job_main(JOB, argv)


if __name__ == "__main__":
    sys.exit(main())
