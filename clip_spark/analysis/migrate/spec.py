"""*Pure.* Spec of migrate-index."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import COLUMN, URI, check_at_least, check_not_empty, one_or_more, option
from clip_spark.errors import SpecError

MOST = 10_000
"""Queries of a comparison."""


@dataclass(frozen=True, kw_only=True)
class MigrateSpec:
    """migrate-index: an index + another model -> the same records by both; the index answers by one of them."""

    index: str = option("index whose model is to be another", holds=URI, kinds=("index",))
    model: str = option("the other model, as embed-images takes it", "")
    output: str = option(
        "folder for the embeddings by that model, one dataset for each that the index has", "", holds=URI
    )
    embeddings: tuple[str, ...] = option(
        "embeddings by that model that are there already, in place of --output", (), holds=URI, kinds=("embeddings",)
    )
    calibrate_with: str = option(
        "embeddings of the other kind by that model, beside --embeddings: hubs are corrected for them",
        "",
        holds=URI,
        kinds=("embeddings",),
    )
    index_key: str = option("Faiss key of the index beside; empty is as the first was built", "")
    queries: str = option(
        "file of texts that people ask, one on a line; behind a tab the record ids that are right answers",
        "",
        holds=URI,
    )
    text_column: str = option(
        "without --queries: a sample of the records is asked for by this column of theirs", "caption", holds=COLUMN
    )
    sample: int = option("how many of them", 1000)
    seed: int = option("of the sample", 0)
    bar: float = option("switch if recall@1, 5 and 10 are at least this share of the first one's; 0 only reports", 0.0)
    switch: bool = option("switch, whatever the comparison says", False)
    rollback: bool = option("go back to the index that was first until the switch", False)
    forget: bool = option("keep no index beside the first any more", False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "embeddings", one_or_more(self.embeddings))
        check_not_empty("index", self.index)
        check_at_least("sample", self.sample, 1)
        check_at_least("bar", self.bar, 0)
        if self.sample > MOST:
            raise SpecError(f"--sample is {self.sample}; at most {MOST:,} queries are asked.")
        if self.rollback or self.forget:
            self._check_alone()
        elif not self.embeddings and bool(self.model) != bool(self.output):
            raise SpecError(
                "Give --model and --output, or --embeddings of the other model; without any of them what is beside the "
                "index already is compared."
            )
        if self.calibrate_with and not self.embeddings:
            raise SpecError("--calibrate-with goes with --embeddings; with --output it is embedded like the others.")

    @property
    def is_beside(self) -> bool:
        """Nothing is to be made: what is beside the index already is compared, and may be switched to."""
        return not (self.embeddings or self.model)

    def _check_alone(self) -> None:
        others = (self.model, self.output, self.embeddings, self.switch, self.bar, self.rollback and self.forget)
        if any(others):
            raise SpecError("--rollback and --forget take --index and nothing else.")
