"""*Pure.* Spec of find-duplicates."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.sizes import size_bytes
from clip_spark.datasets.spec import SIZE, TEXT, URI, Spec, check_at_least, check_not_empty, option
from clip_spark.errors import SpecError

LEAST, MOST = 0.8, 0.9999


@dataclass(frozen=True, kw_only=True)
class DuplicatesSpec(Spec):
    """find-duplicates: embeddings -> groups of near-duplicates, one of each kept."""

    embeddings: str = option(
        "dataset of embeddings, pictures or texts", content=False, holds=URI, kinds=("embeddings",)
    )
    threshold: float = option("least cosine of two near-duplicates; every two records of a group have it", 0.95)
    keep: str = option(
        "which of a group stays: first, largest (most pixels), oldest or oldest:COLUMN, or an expression in columns of "
        "the records, such as 'aesthetic' or '-length(text)', whose greatest value stays",
        "first",
        holds=TEXT,
    )
    examples: int = option("groups that report.html and the contact sheet show, the largest", 30)
    remove: str = option(
        "index from which all but the kept are taken down, as remove-records does it", "", content=False, holds=URI,
        kinds=("index",),
    )  # fmt: skip
    task_memory: str = option("about how much one task may hold", "256M", content=False, holds=SIZE)

    def __post_init__(self) -> None:
        if not LEAST <= self.threshold <= MOST:
            raise SpecError(f"--threshold is {self.threshold}; it must be from {LEAST} to {MOST}.")
        check_at_least("examples", self.examples, 0)
        check_not_empty("keep", self.keep)
        size_bytes("task-memory", self.task_memory)
