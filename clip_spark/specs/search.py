"""*Pure.* Specs of build-index, search and tag-images."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.specs.base import Spec, check_at_least, check_choice, option

METRICS = ("ip", "l2")


@dataclass(frozen=True, kw_only=True)
class IndexSpec(Spec):
    """build-index: embeddings -> index."""

    embeddings: str = option("dataset of embeddings (URI)")
    parts: int = option("Faiss files of the index; 0 chooses from the number of vectors", 0)
    recall: float = option("recall@10 against exact search that the search parameters must reach", 0.95)
    max_index_memory: str = option("memory that the index may take when it is searched, such as 16G", "16G")
    metric: str = option("ip (inner product, which is the cosine) or l2", "ip")
    index_key: str = option("Faiss index factory key; empty chooses from size and memory", "")
    queries: str = option("embeddings of the other kind (URI) to tune and measure cross-modal recall with", "")

    def __post_init__(self) -> None:
        check_choice("metric", self.metric, METRICS)
        check_at_least("parts", self.parts, 0)


@dataclass(frozen=True, kw_only=True)
class TagSpec(Spec):
    """tag-images: image embeddings x text index -> tags."""

    embeddings: str = option("dataset of image embeddings (URI)", content=False)
    index: str = option("index of texts (URI)", content=False)
    k: int = option("tags per image", 10)
    sidecars: bool = option("also write <stem>.knn beside each picture, as clip-grams does", False)

    def __post_init__(self) -> None:
        check_at_least("k", self.k, 1)
