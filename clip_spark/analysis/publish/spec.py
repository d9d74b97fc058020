"""*Pure.* Specs of publish and verify-dataset."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import TEXT, URI, check_at_least, check_choice, check_not_empty, option
from clip_spark.errors import SpecError

FONDANT, CLIP_RETRIEVAL, WEBDATASET, LANCEDB, USEARCH, ATLAS = LAYOUTS = (
    "fondant", "clip-retrieval", "webdataset", "lancedb", "usearch", "embedding-atlas"
)  # fmt: skip


CLAIM = "published.json"
"""The first file of a publication; `clean` knows by it what a killed publish has left in a cache folder."""


@dataclass(frozen=True, kw_only=True)
class PublishSpec:
    """publish: index -> a folder for others."""

    index: str = option("the index", holds=URI, kinds=("index",))
    output: str = option("folder, s3://bucket/folder, or hf://datasets/OWNER/NAME", holds=URI)
    layout: str = option(
        "fondant (data/, faiss, id_mapping/: what `datasets` loads too), clip-retrieval (image.index, metadata/), "
        "webdataset (tars), lancedb, usearch or embedding-atlas",
        FONDANT,
    )
    tags: str = option("tags of the pictures, for the .json of a webdataset", "", holds=URI, kinds=("tags",))
    map: str = option("map of the same records, whose places embedding-atlas draws", "", holds=URI, kinds=("map",))
    name: str = option("what the card calls it; empty takes the folder's name", "", holds=TEXT)
    license: str = option("under which the data may be used, such as cc-by-4.0; for the card", "", holds=TEXT)
    file_rows: int = option("most rows of a file of data", 100_000)
    overwrite: bool = option("replace another publication in --output", False)

    def __post_init__(self) -> None:
        check_not_empty("output", self.output)
        check_choice("layout", self.layout, LAYOUTS)
        check_at_least("file-rows", self.file_rows, 1)
        if self.tags and self.layout != WEBDATASET:
            raise SpecError(f"--tags go into a webdataset; the layout here is {self.layout}.")
        if bool(self.map) != (self.layout == ATLAS):
            raise SpecError("--layout embedding-atlas needs --map, and no other layout has a place for one.")


@dataclass(frozen=True, kw_only=True)
class VerifySpec:
    """verify-dataset: a publication, an index or another dataset -> whether all of it is there."""

    dataset: str = option("folder of what was published, or of a dataset", holds=URI)
