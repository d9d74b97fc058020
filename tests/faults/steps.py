"""The steps that the suite disturbs, small enough for seconds and cut into several shards each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clip_spark.commands.entry import Command
from clip_spark.commands.options import make_spec
from clip_spark.commands.registry import STEPS as REGISTERED


@dataclass(frozen=True)
class FaultStep:
    """A step with its options; `{base}` stands for the folder with the undisturbed datasets."""

    command: str
    dataset: str
    options: dict[str, str]

    @property
    def job(self) -> Command:
        """The command's entry in the registry."""
        return REGISTERED[self.command]

    def values(self, base: str, output: str) -> dict[str, str]:
        """Options with the folders filled in."""
        return {**{key: value.format(base=base) for key, value in self.options.items()}, "output": output}

    def spec(self, base: str, output: str) -> Any:
        """The spec."""
        return make_spec(self.job.spec_class, dict(self.values(base, output)))

    def arguments(self, base: str, output: str) -> list[str]:
        """The same as a command line."""
        return [text for key, value in self.values(base, output).items() for text in _words(key, value)]


def _words(key: str, value: str) -> list[str]:
    """`--shards 4`, but `-k 3` and `--overwrite`."""
    flag = f"--{key}" if len(key) > 1 else f"-{key}"
    return [flag] if value == "true" else [flag, value]


DOWNLOAD = FaultStep(
    "download-images",
    "pictures",
    {"records": "{base}/in/links", "shard-rows": "40", "allow-private": "true", "dedup": "sha256"},
)
COUNT = FaultStep("count-ngrams", "counts", {"corpus": "{base}/in/text", "min-count": "1", "shards": "4"})
FILTER = FaultStep("filter-ngrams", "ngrams", {"counts": "{base}/counts", "top": "600"})
TEXT = FaultStep("embed-text", "text-embeddings", {"records": "{base}/ngrams", "shard-rows": "400"})
IMAGES = FaultStep("embed-images", "image-embeddings", {"images": "{base}/in/pictures", "shard-rows": "12"})
INDEX = FaultStep(
    "build-index",
    "text-index",
    {"embeddings": "{base}/text-embeddings", "parts": "2", "index-key": "IVF16,Flat"},  # chosen, so few would be Flat
)
TAGS = FaultStep(
    "tag-images", "tags", {"embeddings": "{base}/image-embeddings", "index": "{base}/text-index", "k": "3"}
)
MAP = FaultStep(
    "make-map",
    "map",
    {"embeddings": "{base}/image-embeddings", "index": "{base}/text-index", "fit-rows": "30"},
)
DUPLICATES = FaultStep(
    "find-duplicates", "duplicates", {"embeddings": "{base}/image-embeddings", "threshold": "0.85", "keep": "largest"}
)
IMPORT = FaultStep(
    "import-embeddings",
    "imported",
    {"embeddings": "{base}/text-embeddings/embeddings", "modality": "text", "model": "demo", "shard-rows": "200"},
)
LINES = FaultStep("sample-lines", "lines", {"ngrams": "{base}/ngrams", "shards": "3"})
STEPS = (COUNT, FILTER, TEXT, IMAGES, INDEX, TAGS, LINES, IMPORT, MAP, DUPLICATES, DOWNLOAD)
"""In the order in which they feed each other; what feeds none comes last, for all before a step are run first."""
