"""Embeddings datasets for tests, written as the embed steps write them, without a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import embedding_table
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.spec import Spec, option
from clip_spark.search.searcher import Searcher

ENCODER = {"model": "fake", "weights_sha256": "w", "preprocess": "p", "precision": "fp32"}


@dataclass(frozen=True, kw_only=True)
class FakeSpec(Spec):
    """What a fake embed step was asked for."""

    seed: int = option("seed", 0)
    rows: int = option("rows", 0)
    modality: str = option("modality", "text")


def unit_vectors(rows: int, dim: int = 32, seed: int = 0) -> np.ndarray:
    """float32 (rows, dim) of length 1, in loose clusters."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(1, rows // 50), dim))
    vectors = centres[random.integers(len(centres), size=rows)] + random.normal(size=(rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def write_embeddings(
    output: Path | str,
    vectors: np.ndarray,
    names: list[str],
    *,
    modality: str = "text",
    shard_rows: int = 700,
    encoder: dict[str, str] | None = None,
) -> Manifest:
    """A committed dataset; `names` are the texts or the URIs."""
    starts = list(range(0, max(1, len(vectors)), shard_rows))
    spec = FakeSpec(output=str(output), rows=len(vectors), modality=modality)
    run = begin_run(str(output), Plan.of("embeddings", spec, {}, len(starts)), overwrite=False)
    field = "text" if modality == "text" else "uri"
    records = pa.schema([("record_id", pa.string()), (field, pa.string()), ("n", pa.int32())])
    for number, start in enumerate(starts):
        part = names[start : start + shard_rows]
        ids = [schema.record_id(name) for name in part]
        folders = {"embeddings": schema.EMBEDDINGS, "records": records}
        with ShardWriter(run.output, run.plan.fingerprint, number, folders) as writer:
            writer.write("embeddings", embedding_table(ids, vectors[start : start + shard_rows]))
            columns = [ids, part, [len(name.split()) for name in part]]
            writer.write("records", pa.table(columns, schema=records))
            writer.finish()
    extra = {"encoder": encoder or ENCODER, "modality": modality, "dim": vectors.shape[1], "columns": records.names}
    return run.commit(extra)


def numbered(rows: int, prefix: str = "text") -> list[str]:
    """`text 0`, `text 1`, ..."""
    return [f"{prefix} {number}" for number in range(rows)]


def found_texts(index: Path, query: np.ndarray, k: int) -> list[str]:
    """The texts of the k hits of one query, best first."""
    return [hit.record["text"] for hit in Searcher.open(str(index)).search_embedding(query, k)]


def true_texts(vectors: np.ndarray, names: list[str], query: np.ndarray, rows: np.ndarray) -> list[str]:
    """The names of some rows, the nearest to a query first: brute force."""
    return [names[i] for i in rows[np.argsort(-(vectors[rows] @ query), kind="stable")]]
