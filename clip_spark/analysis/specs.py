"""*Pure.* Specs of tag-images, search-index, describe-set and score-embeddings."""

from __future__ import annotations

from collections.abc import Sequence
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

ORDER = "n"
"""The column of the classes that n-grams have."""
CLASSES = "column of the texts that says their class: n (the n-gram order), or one of your own, such as bank"


@dataclass(frozen=True, kw_only=True)
class TagSpec(Spec, HitOptions):
    """tag-images: image embeddings x text index -> tags."""

    embeddings: str = option("dataset of image embeddings", content=False, holds=URI, kinds=("embeddings",))
    index: str = option("index of texts", content=False, holds=URI, kinds=("index",))
    k: int = option("tags per image", 10)
    quotas: tuple[str, ...] = option("instead of -k: tags of each class, such as 1:5,2:3,3:2 or medium:1,style:3", ())
    classes: str = option(CLASSES, ORDER, later=True, holds=COLUMN)
    jsonl: bool = option("also write the tags as jsonl/00000.jsonl ..., one line per picture", False)
    sidecars: bool = option("also write <stem>.knn beside each picture, as clip-grams does", False)

    def __post_init__(self) -> None:
        check_at_least("k", self.k, 1)
        check_not_empty("classes", self.classes)
        quotas = parse_quotas(self.quotas)
        if self.classes == ORDER and not all(name.isdecimal() for name in quotas):
            raise SpecError(
                f"--quotas is '{','.join(self.quotas)}', which are no n-gram orders; --classes names a column."
            )
        if self.classes != ORDER and not quotas:
            raise SpecError(
                f"--classes {self.classes} needs --quotas, such as medium:1,style:3: how many tags of which."
            )


def parse_quotas(quotas: Sequence[str]) -> dict[str, int]:
    """*Pure.* {class: texts} of `1:5,2:3` or `medium:1,style:3`; raises SpecError for anything else."""
    found = [quota.strip().rpartition(":") for quota in quotas]
    pairs = {name.strip(): int(count) for name, _, count in found if name.strip() and count.strip().isdecimal()}
    if len(pairs) != len(quotas) or min(pairs.values(), default=1) < 1:
        raise SpecError(
            f"--quotas is '{','.join(quotas)}'; give CLASS:TAGS pairs, each class once, such as 1:5,2:3 for n-gram "
            "orders, or medium:1,style:3 for the values of a column that --classes names."
        )
    return pairs


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
    classes: str = option(CLASSES, ORDER, holds=COLUMN)
    top: int = option("tags listed per class", 20)
    quotas: tuple[str, ...] = option(
        "only these classes, with so many listed tags each, such as medium:3,style:10", (), later=True
    )
    examples: int = option("pictures shown per tag", 3)
    where: str = option("condition on the texts' columns that says which may be tags", "")
    raw: bool = option("rank by cosine alone, hubs first, where the index is calibrated", False, later=True)

    def __post_init__(self) -> None:
        check_at_least("top", self.top, 1)
        parse_quotas(self.quotas)
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
