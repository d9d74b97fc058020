"""*Pure.* Spec of compare-models."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import COLUMN, URI, check_at_least, check_not_empty, one_or_more, option
from clip_spark.encoders.spec import EncoderSpec
from clip_spark.errors import SpecError
from clip_spark.pictures.look import Look

STEM = "stem"
MOST = 50_000
"""Pictures of a sample: all its files are in memory, and each text meets each picture."""


@dataclass(frozen=True, kw_only=True)
class CompareSpec:
    """compare-models: pictures with texts x models -> figures."""

    model: tuple[str, ...] = option("a model, as embed-images takes it; give --model once for each")
    images: tuple[str, ...] = option("folders of pictures, tars, parquet, .txt lists of URIs, with captions", holds=URI)
    text: str = option("what is said of a picture: caption, stem (of its file's name), or a key beside it", "caption")
    sample: int = option("pictures that are looked at; chosen by chance from all that have a text", 1000)
    seed: int = option("of the choice", 0)
    precision: str = option("auto, fp32, bf16, fp16, tf32; of every model", "auto")
    background: str = option("under transparent pixels: white, black, RRGGBB, or open_clip", "white")
    image_column: str = option("column of parquet files that holds pictures; empty finds it", "", holds=COLUMN)
    rates: str = option("YAML of prices per hour, as `plan` takes it; empty is the bundled one", "", holds=URI)
    page: str = option("also write the comparison as one HTML file", "", holds=URI)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", one_or_more(self.model))
        object.__setattr__(self, "images", one_or_more(self.images))
        check_not_empty("model", self.model)
        check_not_empty("images", self.images)
        check_not_empty("text", self.text)
        check_at_least("sample", self.sample, 2)
        if self.sample > MOST:
            raise SpecError(f"--sample is {self.sample}; at most {MOST:,} pictures are compared.")
        if len(set(self.model)) != len(self.model):
            raise SpecError("--model names the same model twice.")
        self.encoders  # noqa: B018 - a precision or background that does not exist is refused here

    @property
    def look(self) -> Look:
        """How pictures are laid on a background."""
        return Look(background=self.background)

    @property
    def encoders(self) -> list[EncoderSpec]:
        """One for each model."""
        return [EncoderSpec(model, self.precision, self.look) for model in self.model]
