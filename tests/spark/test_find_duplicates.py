"""find-duplicates on Spark: its chain of shuffles gives the groups of brute force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark.analysis.duplicates.groups import groups_of
from clip_spark.analysis.duplicates.spec import DuplicatesSpec
from clip_spark.analysis.duplicates.step import find_duplicates
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings


def test_groups_on_spark_are_those_of_brute_force(spark: Any, tmp_path: Path) -> None:
    vectors = unit_vectors(500, 24)
    beside = vectors[:200] + np.random.default_rng(1).normal(size=(200, 24)) * 0.05
    beside /= np.linalg.norm(beside, axis=1, keepdims=True)
    vectors = np.concatenate([vectors, beside, vectors[:20]]).astype(np.float32)
    write_embeddings(tmp_path / "emb", vectors, numbered(len(vectors)), shard_rows=300)
    spec = DuplicatesSpec(
        embeddings=str(tmp_path / "emb"), output=str(tmp_path / "dup"), task_memory="200K", examples=2
    )
    manifest = find_duplicates(lambda: spark, spec)
    table = pa.concat_tables([pq.read_table(uri) for uri in manifest.files("duplicates")])
    kept, _ = groups_of(vectors, np.zeros(len(vectors)), 0.95)
    sizes = np.bincount(kept)[kept]
    assert table["group_size"].to_pylist() == sizes[sizes > 1].tolist() and max(sizes) > 2
    assert table["keep"].to_pylist() == (kept == np.arange(len(kept)))[sizes > 1].tolist()
