"""*Pure.* Specs of import-index and adopt-index."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import URI, check_not_empty, option
from clip_spark.embed.imported.spec import ForeignSpec, TakeOverSpec
from clip_spark.index.specs import check_goal


@dataclass(frozen=True, kw_only=True)
class ImportIndexSpec(TakeOverSpec):
    """import-index: a Faiss index of another tool -> embeddings."""

    index: str = option(
        "a Faiss file, or a folder with image.index or text.index and metadata/, as clip-retrieval has it",
        content=False,
        holds=URI,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_empty("index", self.index)


@dataclass(frozen=True, kw_only=True)
class AdoptSpec(ForeignSpec):
    """adopt-index: a Faiss index of another tool -> an index of ours with the same bytes."""

    index: str = option(
        "a Faiss file, a folder with image.index, text.index or knn.index, or with the parts of one (knn.index0, ...)",
        content=False,
        holds=URI,
    )
    recall: float = option("recall@10 against exact search that the search parameters must reach", 0.95)
    max_query_ms: float = option("milliseconds that a query may take; recall comes first, and a warning says so", 10.0)
    queries: str = option(
        "embeddings of the other kind, with which recall is measured too; over pictures bundled captions are, without",
        "",
        content=False,
        holds=URI,
        kinds=("embeddings",),
    )
    seed: int = option("seed of the test queries", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_empty("index", self.index)
        check_goal(self.recall, self.max_query_ms)
