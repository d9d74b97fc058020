"""*Pure.* Specs of the text half: count-ngrams, filter-ngrams, make-records."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.errors import SpecError
from clip_spark.specs.base import Spec, check_at_least, check_choice, check_not_empty, option

ORDERS = (1, 2, 3, 4, 5)
RANKS = ("count", "pmi")


@dataclass(frozen=True, kw_only=True)
class CountSpec(Spec):
    """count-ngrams: corpus -> counts."""

    corpus: tuple[str, ...] = option("text files, folders or globs (URIs, comma-separated)", content=False)
    orders: tuple[int, ...] = option("lengths of the n-grams to count, 1 to 5", (1, 2, 3))
    min_count: tuple[int, ...] = option("drop n-grams seen less often: one value, or one per order", (2,))
    lower: bool = option("lower-case the text first", True)
    shards: int = option("files of the result; 0 chooses from the size of the corpus", 0, content=False)

    def __post_init__(self) -> None:
        check_not_empty("corpus", self.corpus)
        check_not_empty("orders", self.orders)
        for order in self.orders:
            check_choice("orders", order, ORDERS)
        if len(set(self.orders)) != len(self.orders):
            raise SpecError(f"--orders names a length twice: {self.orders}; give each once.")
        if len(self.min_count) not in (1, len(self.orders)):
            raise SpecError(
                f"--min-count has {len(self.min_count)} values for {len(self.orders)} orders; give one, or one each."
            )
        for least in self.min_count:
            check_at_least("min-count", least, 1)
        check_at_least("shards", self.shards, 0)

    def least(self) -> dict[int, int]:
        """*Pure.* Order -> the smallest count that is kept, by rising order."""
        values = self.min_count * len(self.orders) if len(self.min_count) == 1 else self.min_count
        return dict(sorted(zip(self.orders, values[: len(self.orders)], strict=True)))


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
    uri_column: str = option("column that holds picture URLs; the records are then of kind image", "")
    shards: int = option("files of the result; 0 chooses from the size of the input", 0, content=False)

    def __post_init__(self) -> None:
        check_not_empty("rows", self.rows)
        check_at_least("shards", self.shards, 0)
