"""*Pure.* The spec of plan."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.sizes import amount, size_bytes
from clip_spark.datasets.spec import SIZE, URI, check_at_least, option
from clip_spark.errors import SpecError
from clip_spark.index.specs import task_bytes


@dataclass(frozen=True, kw_only=True)
class PlanSpec:
    """plan: how many shards, bytes, hours and how much money a run will take; nothing is run."""

    corpus: tuple[str, ...] = option("text to count, whose size is listed", (), holds=URI)
    corpus_bytes: str = option("or its size, such as 6TB", "", holds=SIZE)
    images: tuple[str, ...] = option("pictures to embed, whose files are listed", (), holds=URI)
    pictures: str = option("or their number, such as 400M", "")
    records: tuple[str, ...] = option("texts to embed: datasets of records", (), holds=URI, kinds=("records",))
    texts: str = option("or their number, such as 10M", "")
    model: str = option("a model of the rates file", "ViT-B-32")
    rates: str = option("YAML with rates and prices (default: conf/rates/published.yaml)", "", holds=URI)
    gpus: int = option("GPUs that encode at the same time", 8)
    cores: int = option("cores that count and index at the same time", 64)
    shard_rows: int = option("rows per embedding shard", 50_000)
    max_index_memory: str = option("memory that the index may take when it is searched", "16G", holds=SIZE)
    max_build_memory: str = option("memory of each task and of the driver while it is built", "4G", holds=SIZE)

    def __post_init__(self) -> None:
        for name, value in (("gpus", self.gpus), ("cores", self.cores), ("shard-rows", self.shard_rows)):
            check_at_least(name, value, 1)
        size_bytes("max-index-memory", self.max_index_memory)
        task_bytes(self.max_build_memory)
        if not any((self.corpus, self.corpus_bytes, self.images, self.pictures, self.records, self.texts)):
            raise SpecError("There is nothing to plan; give --corpus, --images or --records, or their sizes.")
        self.given()

    def given(self) -> tuple[int, int, int]:
        """*Pure.* Bytes of text, pictures and texts that are given as numbers; raises SpecError where one is none."""
        return (
            size_bytes("corpus-bytes", self.corpus_bytes) if self.corpus_bytes else 0,
            amount("pictures", self.pictures) if self.pictures else 0,
            amount("texts", self.texts) if self.texts else 0,
        )
