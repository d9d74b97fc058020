"""*Pure.* Specs of sample-lines and where-ngram."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import URI, Spec, check_at_least, check_not_empty, option


@dataclass(frozen=True, kw_only=True)
class SampleLinesSpec(Spec):
    """sample-lines: n-grams + their corpus -> examples."""

    ngrams: str = option(
        "counts, or the records of filter-ngrams", content=False, holds=URI, kinds=("counts", "records")
    )
    corpus: tuple[str, ...] = option(
        "where the lines are; empty takes the corpus that was counted", (), content=False, holds=URI
    )
    examples: int = option("lines of each n-gram", 3)
    length: int = option("most characters of a line that are kept, around the n-gram", 240)
    shards: int = option("files of the result; 0 chooses from the number of n-grams", 0, content=False)

    def __post_init__(self) -> None:
        check_at_least("examples", self.examples, 1)
        check_at_least("length", self.length, 20)
        check_at_least("shards", self.shards, 0)


@dataclass(frozen=True, kw_only=True)
class WhereSpec:
    """where-ngram: an n-gram -> lines, and the pictures that it tags."""

    examples: str = option("what sample-lines has kept", holds=URI, kinds=("examples",))
    text: str = option("the n-gram; its case and tokens become those of the counts", "")
    tags: str = option("tags of pictures, to see which the n-gram tags best", "", holds=URI, kinds=("tags",))
    k: int = option("pictures shown", 10)

    def __post_init__(self) -> None:
        check_not_empty("text", self.text)
        check_at_least("k", self.k, 1)
