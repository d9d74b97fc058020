"""*Pure.* Spec of import-index."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import URI, check_not_empty, option
from clip_spark.embed.imported.spec import TakeOverSpec


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
