"""*Driver.* The true nearest of queries, out of a finished index itself: each vector is compared, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from clip_spark.index.build.choose_key import is_graph
from clip_spark.index.build.on_spark import STEP, exact_distributed
from clip_spark.index.build.tune import Wish, exact_answers
from clip_spark.index.files.layout import IndexFile, IndexInfo
from clip_spark.index.open.effort import everything
from clip_spark.index.open.parts import PartSet, open_part
from clip_spark.index.open.vectors import PartVectors, VectorStore

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def true_hits(
    spark: SparkSession, index_uri: str, info: IndexInfo, wanted: Sequence[Wish], step: str = STEP
) -> list[np.ndarray]:
    """*Driver.* The true nearest of each set of queries in all parts, int64 (n, k), out of the index itself.

    The embeddings of the old parts may be gone; compressed parts have their vectors beside them.
    """

    def of_vectors(file: IndexFile) -> list[tuple[np.ndarray, np.ndarray]]:
        return exact_answers(VectorStore(index_uri, [file], info.dim).blocks(), wanted)

    def of_part(part: IndexFile) -> list[tuple[np.ndarray, np.ndarray]]:
        return hits_in(PartSet([open_part(index_uri, part)], info), info, wanted)

    depths = [k for _, k in wanted]
    if info.vectors:
        return exact_distributed(spark, info.vectors, of_vectors, depths, step)
    return exact_distributed(spark, info.parts, of_part, depths, step)


def hits_in(parts: PartSet, info: IndexInfo, wanted: Sequence[Wish]) -> list[tuple[np.ndarray, np.ndarray]]:
    """*Worker.* The true nearest of each set of queries in some parts of an index: scores, positions int64 (n, k)."""
    if is_graph(info.key):  # to look at all of its nodes takes longer, and may miss some
        return exact_answers(PartVectors(parts.indexes, info.rows).blocks(), wanted)
    return [parts.search(queries, k, everything(info.settings)) for queries, k in wanted]
