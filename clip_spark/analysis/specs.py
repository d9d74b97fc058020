"""*Pure.* Specs of tag-images, search-index, describe-set and score-embeddings."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clip_spark.datasets.spec import (
    COLUMN,
    URI,
    Spec,
    check_at_least,
    check_choice,
    check_not_empty,
    one_or_more,
    option,
)
from clip_spark.errors import SpecError
from clip_spark.search.hits import HitOptions


@dataclass(frozen=True, kw_only=True)
class TagSpec(Spec, HitOptions):
    """tag-images: image embeddings x text index -> tags."""

    embeddings: str = option("dataset of image embeddings", content=False, holds=URI, kinds=("embeddings",))
    index: str = option("index of texts", content=False, holds=URI, kinds=("index",))
    k: int = option("tags per image", 10)
    quotas: tuple[str, ...] = option("instead of -k: tags of each n-gram order, such as 1:5,2:3,3:2", ())
    jsonl: bool = option("also write the tags as jsonl/00000.jsonl ..., one line per picture", False)
    sidecars: bool = option("also write <stem>.knn beside each picture, as clip-grams does", False)

    def __post_init__(self) -> None:
        check_at_least("k", self.k, 1)
        parse_quotas(self.quotas)


def parse_quotas(quotas: tuple[str, ...]) -> dict[int, int]:
    """*Pure.* {order: tags} of `1:5,2:3`; raises SpecError for anything else."""
    found = [re.fullmatch(r"(\d+):(\d+)", quota.strip()) for quota in quotas]
    pairs = [(int(match[1]), int(match[2])) for match in found if match]
    if len(pairs) != len(quotas) or any(count < 1 for _, count in pairs) or len(dict(pairs)) != len(pairs):
        raise SpecError(f"--quotas is '{','.join(quotas)}'; give ORDER:TAGS pairs, each order once, such as 1:5,2:3.")
    return dict(pairs)


@dataclass(frozen=True, kw_only=True)
class SearchIndexSpec(Spec, HitOptions):
    """search-index: queries x index -> hits."""

    queries: str = option("dataset of embeddings; each is a query", content=False, holds=URI, kinds=("embeddings",))
    index: str = option("index to search", content=False, holds=URI, kinds=("index",))
    columns: tuple[str, ...] = option(
        "columns of the records to copy to the hits, such as text or uri,caption", (), holds=COLUMN
    )

    def __post_init__(self) -> None:
        check_at_least("k", self.k, 1)


@dataclass(frozen=True, kw_only=True)
class DescribeSpec(Spec):
    """describe-set: how a set of images as a whole is described by each class of text."""

    embeddings: str = option("dataset of image embeddings", content=False, holds=URI, kinds=("embeddings",))
    index: str = option("index of texts", content=False, holds=URI, kinds=("index",))
    classes: str = option("column of the texts that says their class, such as n (the n-gram order)", "n", holds=COLUMN)
    top: int = option("tags listed per class", 20)
    examples: int = option("pictures shown per tag", 3)
    where: str = option("condition on the texts' columns that says which may be tags", "")
    raw: bool = option("rank by cosine alone, hubs first, where the index is calibrated", False, later=True)

    def __post_init__(self) -> None:
        check_at_least("top", self.top, 1)
        check_at_least("examples", self.examples, 0)


@dataclass(frozen=True, kw_only=True)
class ScoreSpec(Spec):
    """score-embeddings: scores of small models over stored vectors, as columns of the records."""

    embeddings: str = option("dataset of embeddings", content=False, holds=URI, kinds=("embeddings",))
    head: tuple[str, ...] = option(
        "safetensors file of linear layers, whose name is that of the column; or NAME=FILE", content=False, holds=URI
    )
    activation: str = option("between the layers: linear, relu or gelu; empty takes what the file's metadata says", "")
    scores: str = option("outputs as they are (plain), or through sigmoid or softmax; empty as the metadata says", "")

    def __post_init__(self) -> None:
        object.__setattr__(self, "head", one_or_more(self.head))
        check_not_empty("head", self.head)
        check_choice("activation", self.activation, ("", "linear", "relu", "gelu"))
        check_choice("scores", self.scores, ("", "plain", "sigmoid", "softmax"))
