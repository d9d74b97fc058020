"""Folders as other tools leave them, and import-embeddings on them in this process; no model but the colours."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark.datasets.manifest import Manifest
from clip_spark.embed.imported import step
from clip_spark.embed.imported.spec import ImportSpec
from clip_spark.index.imported import step as index_step
from clip_spark.index.imported.spec import ImportIndexSpec
from tests.helpers_colours import know_colours


def imports_run_here(patch: pytest.MonkeyPatch) -> None:
    """The tasks in this process, one after the other."""

    def run_shards(_spark: Any, _step: str, items: Any, work: Any) -> None:
        for item in items:
            work(item)

    know_colours(patch)
    patch.setattr(step, "run_shards", run_shards)


def unit(rows: int, seed: int = 0, dtype: str = "float32") -> np.ndarray:
    """(rows, 3) of length 1."""
    vectors = np.random.default_rng(seed).normal(size=(rows, 3))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(dtype)


def take_over(folder: Path, output: Path | None = None, **options: Any) -> Manifest:
    """import-embeddings of a folder, in shards of five rows."""
    given = {"shard_rows": 5, "model": "colours:rgb", "output": str(output or folder.parent / "emb"), **options}
    return step.import_embeddings(SimpleNamespace, ImportSpec(embeddings=str(folder), **given))


def save(path: Path, array: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def clip_retrieval(folder: Path, files: int = 2, rows: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """img_emb, text_emb and metadata as clip-retrieval writes them; the vectors of pictures and of texts, float16."""
    pictures, texts = unit(files * rows, 1, "float16"), unit(files * rows, 2, "float16")
    for n in range(files):
        mine = slice(n * rows, (n + 1) * rows)
        save(folder / f"img_emb/img_emb_{n}.npy", pictures[mine])
        save(folder / f"text_emb/text_emb_{n}.npy", texts[mine])
        metadata(folder, n, rows)
    return pictures, texts


def metadata(folder: Path, number: int, rows: int) -> None:
    names = [f"{number}-{row}" for row in range(rows)]
    (folder / "metadata").mkdir(parents=True, exist_ok=True)
    table = {
        "image_path": [f"/pictures/{name}.jpg" for name in names],
        "caption": [f"picture {name}" for name in names],
    }
    table |= {"url": [f"https://example.org/{name}.jpg" for name in names], "NSFW": ["UNLIKELY"] * rows}
    pq.write_table(pa.table(table), folder / f"metadata/metadata_{number}.parquet")


def take_index(index: Path, output: Path, **options: Any) -> Manifest:
    """import-index, in shards of fifty rows."""
    given = {"shard_rows": 50, "model": "colours:rgb", "output": str(output), **options}
    return index_step.import_index(SimpleNamespace, ImportIndexSpec(index=str(index), **given))
