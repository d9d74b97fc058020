"""Faiss files as other tools leave them, adopted in this process; the model is the colours."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from clip_spark.datasets.manifest import Manifest
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.files.layout import SearchSettings
from clip_spark.index.files.shapes import reach
from clip_spark.index.imported.adopt import adopt_index
from clip_spark.index.imported.spec import AdoptSpec
from clip_spark.index.open.parts import parameters
from clip_spark.index.open.selection import Selection
from clip_spark.index.open.vectors import PartVectors
from clip_spark.runtime.session import SessionSource


def write_foreign(place: Path, key: str, vectors: np.ndarray, metric: str = "ip", first: int = 0) -> Any:
    """An index of some vectors as Faiss writes it, whose ids begin at `first`; the index."""
    faiss = load_faiss()
    index = faiss.index_factory(
        vectors.shape[1], key, faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    )
    index.train(vectors)
    if key.startswith("IDMap") or first:  # in another order than their ids
        index.add_with_ids(vectors[::-1].copy(), np.arange(first, first + len(vectors))[::-1].copy())
    else:
        index.add(vectors)
    place.parent.mkdir(parents=True, exist_ok=True)
    faiss.write_index(index, str(place))
    return index


def serve(path: str) -> int:
    """What a server does with a part: searches of all efforts, some among few rows, and vectors; how many hits."""
    index = load_faiss().read_index(path, load_faiss().IO_FLAG_MMAP | load_faiss().IO_FLAG_READ_ONLY)
    random, hits = np.random.default_rng(0), 0
    rows = index.ntotal
    selection = Selection(random.random(rows) < 0.3)
    for nprobe in (1, 3, max(1, reach(index))):
        for selector in (None, selection.selector):
            queries = random.normal(size=(24, index.d)).astype(np.float32)
            _, found = index.search(queries, 40, params=parameters(index, SearchSettings(nprobe), selector))
            assert found.max() < rows
            hits += int((found >= 0).sum())
    assert np.isfinite(PartVectors([index], rows).take(np.arange(rows))).all()
    return hits


def adopt(index: Path, output: Path, get_spark: SessionSource = SimpleNamespace, **options: Any) -> Manifest:
    """adopt-index."""
    given = {"model": "colours:rgb", "output": str(output), **options}
    return adopt_index(get_spark, AdoptSpec(index=str(index), **given))
