"""*Driver.* The true nearest of queries, out of a finished index itself: each vector is compared, part by part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from clip_spark.index.build.exact import Wish, exact_answers
from clip_spark.index.build.on_spark import STEP, best_of, exact_distributed
from clip_spark.index.files import keys
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

    depths = [k for _, k in wanted]

    def of_vectors(files: Iterable[IndexFile]) -> list[tuple[np.ndarray, np.ndarray]]:
        blocks = (VectorStore(index_uri, [file], info.dim).blocks() for file in files)
        return exact_answers(chain.from_iterable(blocks), wanted)

    def of_parts(parts: Iterable[IndexFile]) -> list[tuple[np.ndarray, np.ndarray]]:
        opened = (PartSet([open_part(index_uri, part)], info) for part in parts)
        return best_of([hits_in(each, info, wanted) for each in opened], depths)

    if info.vectors:
        return exact_distributed(spark, info.vectors, of_vectors, depths, step)
    return exact_distributed(spark, info.parts, of_parts, depths, step)


def hits_in(parts: PartSet, info: IndexInfo, wanted: Sequence[Wish]) -> list[tuple[np.ndarray, np.ndarray]]:
    """*Worker.* The true nearest of each set of queries in some parts of an index: scores, positions int64 (n, k)."""
    if keys.is_graph(info.key):  # to look at all of its nodes takes longer, and may miss some
        return exact_answers(PartVectors(parts.indexes, info.rows).blocks(), wanted)
    return [parts.search(queries, k, everything(info.settings)) for queries, k in wanted]
