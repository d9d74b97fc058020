"""*Pure.* Specs of embed-text and embed-images."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import (
    COLUMN,
    PRUNE_HELP,
    TEXT,
    URI,
    Spec,
    check_at_least,
    check_choice,
    check_not_empty,
    one_or_more,
    option,
)
from clip_spark.encoders.spec import PRECISIONS, EncoderSpec, check_backend_computes
from clip_spark.errors import SpecError
from clip_spark.pictures.look import Look

MODEL_HELP = "demo, ARCH:PRETRAINED, ARCH:/path/to/weights, or an OpenAI name like ViT-B/32"
PRECISION_HELP = (
    "auto, fp32, bf16, fp16 or tf32 (GPUs); auto is the fastest that the first task measures, with a cosine to fp32 of "
    "0.999 and more, and all tasks follow it"
)
FASTEST = "fastest"
"""A precision of pictures alone: it is decided by some of those that are to be embedded."""
PICTURE_PRECISION_HELP = (
    f"{PRECISION_HELP}; int8 is faster on most CPUs, but not exact; fastest is int8 if it gains and keeps a cosine of "
    "0.999 on some of these pictures, else auto"
)
BACKEND_HELP = "what computes pictures: torch, or onnx (ONNX Runtime, fp32 on CPUs; needs 'clip-spark[onnx]')"
PRICE_HELP = "what the cluster costs in an hour, in any currency; the result then says the cost of a million rows"


@dataclass(frozen=True, kw_only=True)
class EmbedTextSpec(Spec):
    """embed-text: records -> embeddings."""

    records: tuple[str, ...] = option(
        "datasets of records, or of image embeddings with their records; an id of several is read once",
        content=False,
        holds=URI,
        kinds=("records", "embeddings"),
    )
    text_column: str = option("column of the records to embed, such as the caption of pictures", "text", holds=COLUMN)
    model: str = option(MODEL_HELP, "demo")
    precision: str = option(PRECISION_HELP, "auto")
    prefix: str = option("put before every text for the encoder only, such as 'a photo of a '", "", holds=TEXT)
    templates: tuple[str, ...] = option(
        "instead of a prefix: texts with {} in place of the record's, averaged", (), holds=TEXT
    )
    batch_size: int = option("tokens per forward pass; 0 chooses by device", 0, content=False)
    shard_rows: int = option("most rows of an embedding shard; 0 chooses from the number of records", 0)
    price_per_hour: float = option(PRICE_HELP, 0.0, content=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", one_or_more(self.records))
        check_not_empty("records", self.records)
        if self.precision in ("int8", FASTEST):
            raise SpecError(f"--precision {self.precision} is for pictures; texts take auto, fp32, bf16, fp16 or tf32.")
        EncoderSpec(self.model, self.precision)
        check_not_empty("text-column", self.text_column)
        check_at_least("batch-size", self.batch_size, 0)
        check_at_least("shard-rows", self.shard_rows, 0)
        check_at_least("price-per-hour", self.price_per_hour, 0)
        if self.prefix and self.templates:
            raise SpecError("--prefix and --templates exclude each other; write the prefix into the templates.")
        for template in self.templates:
            if template.count("{}") != 1:
                raise SpecError(f"--templates has '{template}'; each needs {{}} once, such as 'a photo of a {{}}'.")

    @property
    def encoder(self) -> EncoderSpec:
        """The encoder's part."""
        return EncoderSpec(self.model, self.precision)

    @property
    def said(self) -> tuple[str, ...]:
        """What the encoder is told of a record: texts with {} in place of the record's."""
        return self.templates or (self.prefix + "{}",)


@dataclass(frozen=True, kw_only=True)
class EmbedImagesSpec(Spec):
    """embed-images: pictures -> embeddings."""

    images: tuple[str, ...] = option(
        "folders of pictures, webdataset tars, parquet or Arrow with image bytes, .txt lists of URIs",
        content=False,
        holds=URI,
    )
    model: str = option(MODEL_HELP, "demo")
    precision: str = option(PICTURE_PRECISION_HELP, "auto")
    backend: str = option(BACKEND_HELP, "torch", later=True)
    orientation: str = option("apply (turn photographs as their EXIF tag says) or ignore (as open_clip does)", "apply")
    background: str = option(
        "under transparent pixels: white, black, RRGGBB, or open_clip, which shows what colours lie below them", "white"
    )
    image_column: str = option(
        "column of parquet files that holds pictures or their paths; empty finds it", "", holds=COLUMN
    )
    metadata_columns: tuple[str, ...] = option(
        "keys of the metadata beside pictures, or other columns of parquet, that become record columns",
        (),
        holds=COLUMN,
    )
    batch_size: int = option("pictures per forward pass; 0 chooses by device", 0, content=False)
    shard_rows: int = option("most pictures of a shard from single files; 0 chooses (a tar is always one shard)", 0)
    fast_decode: bool = option("decode large JPEGs at a fraction of their size: 3 to 6 times faster, not exact", False)
    prune: bool = option(PRUNE_HELP, False, content=False)
    max_rejects: float = option("fail in the end if more than this share is rejected; 1 never does", 1.0, content=False)
    price_per_hour: float = option(PRICE_HELP, 0.0, content=False)

    def __post_init__(self) -> None:
        check_not_empty("images", self.images)
        check_at_least("max-rejects", self.max_rejects, 0)
        check_choice("precision", self.precision, (*PRECISIONS, FASTEST))
        check_backend_computes(self.backend, self.precision)
        self.encoder  # noqa: B018 - a model or background that does not exist is refused here
        check_at_least("batch-size", self.batch_size, 0)
        check_at_least("shard-rows", self.shard_rows, 0)
        check_at_least("price-per-hour", self.price_per_hour, 0)

    @property
    def encoder(self) -> EncoderSpec:
        """The encoder's part; `fastest` begins as `auto`."""
        precision = "auto" if self.precision == FASTEST else self.precision
        return EncoderSpec(self.model, precision, Look(self.orientation, self.background), self.backend)
