"""*Pure.* The spec of plan."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import check_at_least, option
from clip_spark.errors import SpecError
from clip_spark.index.specs import memory_bytes, task_bytes

DECIMAL = {"K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}


def amount(name: str, text: str) -> int:
    """*Pure.* 400M or 1.5G as a number of things (powers of ten); empty is 0."""
    text = text.strip().upper()
    factor = DECIMAL.get(text[-1:], 1)
    try:
        return int(float(text.rstrip("KMGBT") or 0) * factor)
    except ValueError as error:
        raise SpecError(f"--{name} is '{text}'; give a number such as 400M or 1.5G.") from error


@dataclass(frozen=True, kw_only=True)
class PlanSpec:
    """plan: how many shards, bytes, hours and how much money a run will take; nothing is run."""

    corpus: tuple[str, ...] = option("text to count: URIs, whose sizes are listed", ())
    corpus_bytes: str = option("or its size, such as 6T", "")
    images: tuple[str, ...] = option("pictures to embed: URIs, whose files are listed", ())
    pictures: str = option("or their number, such as 400M", "")
    records: tuple[str, ...] = option("texts to embed: datasets of records (URIs)", ())
    texts: str = option("or their number, such as 10M", "")
    model: str = option("a model of the rates file", "ViT-B-32")
    rates: str = option("YAML with rates and prices (default: conf/rates/published.yaml)", "")
    gpus: int = option("GPUs that encode at the same time", 8)
    cores: int = option("cores that count and index at the same time", 64)
    shard_rows: int = option("rows per embedding shard", 50_000)
    max_index_memory: str = option("memory that the index may take when it is searched", "16G")
    max_build_memory: str = option("memory of each task and of the driver while it is built, such as 4G", "4G")

    def __post_init__(self) -> None:
        for name, value in (("gpus", self.gpus), ("cores", self.cores), ("shard-rows", self.shard_rows)):
            check_at_least(name, value, 1)
        memory_bytes("max-index-memory", self.max_index_memory)
        task_bytes(self.max_build_memory)
        given = (self.corpus, self.corpus_bytes, self.images, self.pictures, self.records, self.texts)
        if not any(given):
            raise SpecError("There is nothing to plan; give --corpus, --images or --records, or their sizes.")
        for name in ("corpus_bytes", "pictures", "texts"):
            amount(name.replace("_", "-"), getattr(self, name))
