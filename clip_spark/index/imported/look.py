"""*Worker.* What a foreign Faiss index says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.files.shapes import keeps_vectors


@dataclass(frozen=True)
class Look:
    """What a Faiss index says of itself.

    Attributes:
        kind: its class, such as IndexHNSWFlat; of one behind a map of ids or a rotation, both.
        rows: vectors.
        dim: d.
        metric: ip or l2.
        exact: whether its vectors are as they were put in.
    """

    kind: str
    rows: int
    dim: int
    metric: str
    exact: bool


def look_at(index: Any) -> Look:
    """*Worker.* What an index says of itself; raises ValueError where its metric is none of ours."""
    faiss = load_faiss()
    names = [type(index).__name__]
    if isinstance(index, (faiss.IndexIDMap, faiss.IndexPreTransform)):
        names.append(type(faiss.downcast_index(index.index)).__name__)
    metrics = {faiss.METRIC_INNER_PRODUCT: "ip", faiss.METRIC_L2: "l2"}
    if index.metric_type not in metrics:
        raise ValueError(f"its metric has the number {index.metric_type}; ip and l2 are known")
    kind, metric = " over ".join(names), metrics[index.metric_type]
    return Look(kind, int(index.ntotal), int(index.d), metric, keeps_vectors(index))
