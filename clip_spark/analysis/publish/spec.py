"""*Pure.* Specs of publish and verify-dataset."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import TEXT, URI, check_at_least, check_choice, check_not_empty, option

FONDANT, CLIP_RETRIEVAL = LAYOUTS = ("fondant", "clip-retrieval")


@dataclass(frozen=True, kw_only=True)
class PublishSpec:
    """publish: index -> a folder for others."""

    index: str = option("the index", holds=URI, kinds=("index",))
    output: str = option("folder, s3://bucket/folder, or hf://datasets/OWNER/NAME", holds=URI)
    layout: str = option(
        "fondant (data/, faiss, id_mapping/: what `datasets` loads too) or clip-retrieval (image.index, metadata/)",
        FONDANT,
    )
    name: str = option("what the card calls it; empty takes the folder's name", "", holds=TEXT)
    license: str = option("under which the data may be used, such as cc-by-4.0; for the card", "", holds=TEXT)
    file_rows: int = option("most rows of a file of data", 100_000)
    overwrite: bool = option("replace another publication in --output", False)

    def __post_init__(self) -> None:
        check_not_empty("output", self.output)
        check_choice("layout", self.layout, LAYOUTS)
        check_at_least("file-rows", self.file_rows, 1)


@dataclass(frozen=True, kw_only=True)
class VerifySpec:
    """verify-dataset: a publication, an index or another dataset -> whether all of it is there."""

    dataset: str = option("folder of what was published, or of a dataset", holds=URI)
