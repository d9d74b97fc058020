"""*Pure.* Spec of make-map."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.analysis.map.fit import FEWEST, METHODS, TSNE
from clip_spark.datasets.spec import COLUMN, URI, Spec, check_at_least, check_choice, option


@dataclass(frozen=True, kw_only=True)
class MapSpec(Spec):
    """make-map: embeddings -> map."""

    embeddings: str = option("dataset of image embeddings", "", content=False, holds=URI, kinds=("embeddings",))
    texts: str = option(
        "dataset of text embeddings: placed among the pictures, and the names of regions",
        "",
        content=False,
        holds=URI,
        kinds=("embeddings",),
    )
    index: tuple[str, ...] = option(
        "index of pictures or of texts, in place of --embeddings or --texts: what it was built from, without what was "
        "taken down of it; may be repeated",
        (),
        content=False,
        holds=URI,
        kinds=("index",),
    )
    method: str = option("what fits the map: tsne or umap", TSNE)
    fit_rows: int = option("pictures on which the map is fitted; 50,000 take about two minutes and a gigabyte", 50_000)
    seed: int = option("decides which pictures those are, and what the fit leaves to chance", 0)
    columns: tuple[str, ...] = option("columns of the records to copy to the points, such as group", (), holds=COLUMN)
    append: bool = option(
        "add these embeddings to the map in --output, beside those that it has; nothing moves", False, content=False
    )
    html: str = option(
        "also write a page with the map to this file: it opens from a disk, with at most 200,000 points",
        "",
        content=False,
        holds=URI,
    )

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        check_at_least("fit-rows", self.fit_rows, FEWEST)
        check_at_least("seed", self.seed, 0)
