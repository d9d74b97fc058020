"""Open indices with inverted lists, in memory."""

from __future__ import annotations

import faiss
import numpy as np

from clip_spark.index.files.layout import IndexFile, IndexInfo, SearchSettings
from clip_spark.index.open.parts import PartSet

DEFAULTS = SearchSettings()


def parts_in_lists(
    vectors: np.ndarray, key: str, metric: str = "ip", parts: int = 1, settings: SearchSettings = DEFAULTS
) -> PartSet:
    """Vectors, float32 (n, d), trained on all of them and dealt out to parts in their order."""
    rows, dim = vectors.shape
    kind = faiss.METRIC_INNER_PRODUCT if metric == "ip" else faiss.METRIC_L2
    trained = faiss.index_factory(dim, key, kind)
    trained.train(vectors)
    indexes = []
    for some in np.array_split(np.arange(rows), parts):
        indexes.append(faiss.deserialize_index(faiss.serialize_index(trained)))  # older ones cannot clone all kinds
        indexes[-1].add_with_ids(vectors[some], some)
    return PartSet(indexes, IndexInfo({}, "image", dim, metric, key, settings, (IndexFile("part", 0, rows, 1, "x"),)))
