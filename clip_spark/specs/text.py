"""*Pure.* Specs of the text half: count-ngrams, filter-ngrams, make-records."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.specs.base import Spec, check_at_least, check_choice, check_not_empty, option

RANKS = ("count", "pmi")


@dataclass(frozen=True, kw_only=True)
class CountSpec(Spec):
    """count-ngrams: corpus -> counts."""

    corpus: tuple[str, ...] = option("text files, folders or globs (URIs, comma-separated)", content=False)
    orders: tuple[int, ...] = option("lengths of the n-grams to count", (1, 2, 3))
    min_count: int = option("drop n-grams seen less often than this", 2)
    lower: bool = option("lower-case the text first", True)
    shards: int = option("files of the result; 0 chooses from the size of the corpus", 0, content=False)

    def __post_init__(self) -> None:
        check_not_empty("corpus", self.corpus)
        check_not_empty("orders", self.orders)
        for order in self.orders:
            check_choice("orders", order, (1, 2, 3, 4, 5))
        check_at_least("min-count", self.min_count, 1)


@dataclass(frozen=True, kw_only=True)
class FilterSpec(Spec):
    """filter-ngrams: counts -> records."""

    counts: str = option("dataset of counts (URI)", content=False)
    top: int = option("keep at most so many n-grams of each order; 0 keeps all", 10_000)
    rank: str = option("which n-grams are best: " + " or ".join(RANKS), "count")
    min_count: int = option("drop n-grams seen less often than this", 1)

    def __post_init__(self) -> None:
        check_choice("rank", self.rank, RANKS)
        check_at_least("top", self.top, 0)
        check_at_least("min-count", self.min_count, 1)


@dataclass(frozen=True, kw_only=True)
class RecordsSpec(Spec):
    """make-records: rows of text -> records, duplicates removed."""

    rows: tuple[str, ...] = option("text, CSV or parquet files with one thing to embed per row", content=False)
    text_column: str = option("column that holds the text (CSV and parquet)", "text")

    def __post_init__(self) -> None:
        check_not_empty("rows", self.rows)
