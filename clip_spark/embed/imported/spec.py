"""*Pure.* Spec of import-embeddings."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import (
    COLUMN,
    PRUNE_HELP,
    URI,
    Spec,
    check_at_least,
    check_choice,
    check_not_empty,
    option,
)
from clip_spark.encoders.spec import EncoderSpec
from clip_spark.pictures.look import AS_STORED

AUTO = "auto"
CLIP_RETRIEVAL, WITH_LINES, IDS, PARQUET, NPY = "clip-retrieval", "clip-grams", "ids", "parquet", "npy"
LAYOUTS = (AUTO, CLIP_RETRIEVAL, WITH_LINES, IDS, PARQUET, NPY)
PICTURE, TEXT = "image", "text"


@dataclass(frozen=True, kw_only=True)
class ForeignSpec(Spec):
    """What all share that take something over: the model, and what lies beside the vectors."""

    model: str = option("the model that made them, by which queries will be encoded: ViT-B/32, ARCH:PRETRAINED, ...")
    modality: str = option("image or text; auto tells by the layout and the columns", AUTO)
    metadata: str = option(
        "parquet files with a row for each vector, in the order of names (one beside each npy file, by number); "
        "of an index also a .npy of ids or a .txt of lines",
        "",
        holds=URI,
    )
    id_column: str = option(
        "column that tells records apart, as of make-records; empty takes the place of the row", "", holds=COLUMN
    )
    uri_column: str = option("column of the picture's path or link; empty finds it", "", holds=COLUMN)
    text_column: str = option("column of the text, or of the picture's caption; empty finds it", "", holds=COLUMN)

    def __post_init__(self) -> None:
        check_choice("modality", self.modality, (AUTO, PICTURE, TEXT))

    @property
    def encoder(self) -> EncoderSpec:
        """The encoder of queries; others look at pictures as open_clip does, and in what precision is not known."""
        return EncoderSpec(self.model, "fp32", AS_STORED)


@dataclass(frozen=True, kw_only=True)
class TakeOverSpec(ForeignSpec):
    """What import-embeddings and import-index share."""

    normalise: bool = option("divide vectors of another length than 1 by it; without, they are rejected", False)
    shard_rows: int = option("most rows of a shard", 50_000)
    prune: bool = option(PRUNE_HELP, False, content=False)
    max_rejects: float = option("fail in the end if more than this share is rejected; 1 never does", 1.0, content=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("shard-rows", self.shard_rows, 1)
        check_at_least("max-rejects", self.max_rejects, 0)


@dataclass(frozen=True, kw_only=True)
class ImportSpec(TakeOverSpec):
    """import-embeddings: vectors of another tool -> embeddings."""

    embeddings: str = option("folder (or one file) of vectors that another tool has made", content=False, holds=URI)
    layout: str = option(
        "clip-retrieval, clip-grams, ids (npy beside npy of ids, as prompt-search), parquet (as fondant) or npy; auto "
        "tells by the files",
        AUTO,
    )
    embedding_column: str = option("column of parquet that holds the vectors; empty finds it", "", holds=COLUMN)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_empty("embeddings", self.embeddings)
        check_choice("layout", self.layout, LAYOUTS)
