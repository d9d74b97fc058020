"""*Pure.* Specs of build-index, calibrate-index and remove-records."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.sizes import size_bytes
from clip_spark.datasets.spec import SIZE, URI, Spec, check_at_least, check_choice, check_not_empty, one_or_more, option
from clip_spark.errors import SpecError

METRICS = ("ip", "l2")
MOST_PARTS = 100
"""autofaiss merges what it added into 100 files first, and fails when more are to be kept."""


def task_bytes(text: str) -> int:
    """*Pure.* Most bytes of a part, or of the training sample, with --max-build-memory `text`: the half of it,
    for as much again is needed to work on it; raises SpecError for less than 512M."""
    memory = size_bytes("max-build-memory", text)
    if memory < 512 << 20:
        raise SpecError(f"--max-build-memory is '{text}'; it must be at least 512M.")
    return memory // 2


def check_goal(recall: float, max_query_ms: float) -> None:
    """*Pure.* Raise SpecError unless both can be reached."""
    if not 0 < recall <= 1:
        raise SpecError(f"--recall is {recall}; it must be above 0 and at most 1.")
    if max_query_ms <= 0:
        raise SpecError(f"--max-query-ms is {max_query_ms}; it must be above 0.")


@dataclass(frozen=True, kw_only=True)
class IndexSpec(Spec):
    """build-index: embeddings -> index."""

    embeddings: tuple[str, ...] = option(
        "datasets of embeddings of one encoder", content=False, holds=URI, kinds=("embeddings",)
    )
    parts: int = option("Faiss files of the index; 0 chooses from the number of vectors", 0)
    recall: float = option("recall@10 against exact search that the search parameters must reach", 0.95)
    max_index_memory: str = option("memory that the index may take when it is searched", "16G", holds=SIZE)
    max_query_ms: float = option("milliseconds that a query may take; recall comes first, and a warning says so", 10.0)
    max_build_memory: str = option("memory of each task and of the driver while it is built", "4G", holds=SIZE)
    metric: str = option("ip (inner product, which is the cosine) or l2", "ip")
    index_key: str = option("Faiss index factory key; empty chooses from size and memory", "")
    queries: str = option(
        "embeddings of the other kind: cross-modal recall is tuned with them, and hubs are corrected for them",
        "",
        content=False,
        holds=URI,
        kinds=("embeddings",),
    )
    seed: int = option("seed of the training sample and the test queries", 0)
    append: bool = option("add the embeddings to the index in --output, without training again", False, content=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "embeddings", one_or_more(self.embeddings))
        check_not_empty("embeddings", self.embeddings)
        check_choice("metric", self.metric, METRICS)
        check_at_least("parts", self.parts, 0)
        if self.parts > MOST_PARTS:
            raise SpecError(f"--parts is {self.parts}; at most {MOST_PARTS} are possible.")
        check_goal(self.recall, self.max_query_ms)
        size_bytes("max-index-memory", self.max_index_memory)
        task_bytes(self.max_build_memory)


@dataclass(frozen=True, kw_only=True)
class CalibrateSpec:
    """calibrate-index: teach a finished index which of its records are near to everything."""

    index: str = option("index to calibrate", holds=URI, kinds=("index",))
    queries: str = option(
        "embeddings of the other kind to learn from: pictures for texts", holds=URI, kinds=("embeddings",)
    )
    seed: int = option("seed of the sample of the queries", 0)

    def __post_init__(self) -> None:
        check_not_empty("index", self.index)
        check_not_empty("queries", self.queries)


@dataclass(frozen=True, kw_only=True)
class RemoveSpec:
    """remove-records: take records of an index down, at once and for good."""

    index: str = option("index to remove them from", holds=URI, kinds=("index",))
    ids: tuple[str, ...] = option("record ids to remove", ())
    ids_file: str = option("file of record ids to remove, one on a line", "", holds=URI)
    where: str = option("condition on the records' columns that says which to remove", "")
    compact: bool = option("also erase all removed records and vectors from the index files", False)
    verify: bool = option("prove that nothing of what was removed is left in any file; exit 1 if something is", False)

    def __post_init__(self) -> None:
        check_not_empty("index", self.index)
        if not (self.ids or self.ids_file or self.where or self.compact or self.verify):
            raise SpecError("Give --ids, --ids-file, --where, --compact or --verify; none was found.")
