"""*Driver.* A job measures its own queries: the recall that they reach, and the settings that reach the index's goal.

An index knows what its build was told to measure, often its own kind alone. Pictures that ask an index of texts need
more lists; so a sample of the job's queries is compared with exact search before the first shard, and all shards
take what came out. The sample is seeded, so that a resumed run searches as the run did that it resumes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from clip_spark.datasets.manifest import read_manifest
from clip_spark.datasets.tables import Table
from clip_spark.index.build.questions import DEPTHS, SHALLOW, Questions, make_questions
from clip_spark.index.build.read_vectors import VectorReader, dataset_files
from clip_spark.index.build.train import draw_positions
from clip_spark.index.build.truth import true_hits
from clip_spark.index.build.tune import harder, tune
from clip_spark.index.files.keys import is_exact
from clip_spark.index.files.layout import Effort, IndexInfo, read_index
from clip_spark.index.files.needed_faiss import check_faiss
from clip_spark.index.open.parts import open_parts
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import map_items

SAMPLE = 256
"""Queries that are compared: the mean of so many shares is right to two hundredths."""
DEEPER = 2
"""Depths beyond k that are measured too, for searches behind a condition go as deep as k / share."""
GOAL = 0.95
"""For indices whose manifest names none."""


@dataclass(frozen=True)
class OwnRecall:
    """What was measured: `efforts` for the tasks' searches, `facts` for the manifest and for people."""

    efforts: tuple[Effort, ...]
    facts: dict[str, Any]


def measure_own(get_spark: SessionSource, step: str, queries_uri: str, index_uri: str, k: int) -> OwnRecall:
    """*Driver.* Recall@k of a sample of a dataset's embeddings in an index, and settings that reach the index's goal.

    Args:
        get_spark: used unless every search is exact anyway.
        step: whose stages these are.
        queries_uri: of a dataset of embeddings.
        index_uri: of the index.
        k: hits per query.
    """
    queries, (index, info) = read_manifest(queries_uri, "embeddings"), read_index(index_uri)
    if is_exact(info.key) or queries.rows == 0:
        return OwnRecall((), {"k": k, "recall": 1.0, "queries": 0, "lists": 0})
    check_faiss(index_uri, info.key)
    spark = get_spark()
    deep = [depth for depth in DEPTHS if depth > k][:DEEPER]
    reader = VectorReader(dataset_files(queries, "embeddings"), info.dim)
    sample = reader.take(draw_positions(reader.count, 0, SAMPLE, seed=0)[1])
    (asked,) = make_questions(
        [(sample, None)],
        info.rows,
        lambda wanted: true_hits(spark, index.uri, info, wanted, step),
        [min(k, SHALLOW), *(depth for depth in (k, *deep) if depth > SHALLOW)],
    )
    goal = float(info.measured.get("goal", GOAL))
    depths = tuple(depth for depth in (k, *deep) if depth <= info.rows)
    efforts = map_items(spark, step, [index.uri], _Tune(info, goal, tuple(asked), depths))[0]
    mine = next((effort for effort in efforts if effort.k >= k), None)
    facts = {"k": k, "recall": mine.recall if mine else 1.0, "queries": min(SAMPLE, queries.rows)}
    return OwnRecall(harder(efforts, info.efforts), {**facts, "lists": mine.settings.nprobe if mine else 0})


@dataclass(frozen=True)
class _Tune:
    """*Worker.* Tunes on an executor, which has the index at hand; the driver may be far from it."""

    info: IndexInfo
    goal: float
    asked: tuple[Questions, ...]
    depths: tuple[int, ...]

    def __call__(self, index_uri: str) -> tuple[Effort, ...]:
        parts = open_parts(index_uri, replace(self.info, efforts=()))
        return tune(parts, self.info.key, self.goal, self.asked, self.depths)


def recall_tables(extra: Mapping[str, Any]) -> list[Table]:
    """*Pure.* What a manifest's `extra` says of this, for people; nothing where an older version wrote it."""
    if not (facts := extra.get("recall")):
        return []
    how = f"measured with {facts['queries']} of these queries" if facts["queries"] else "every search is exact"
    row = (facts["k"], facts["recall"], facts["lists"], how)
    return [Table("recall", ("hits", "recall", "lists searched", "how"), [row])]
