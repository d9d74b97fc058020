"""Folders of pictures that grow, and embed-images on them in this process, without Spark."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from clip_spark.datasets.embeddings import read_embeddings
from clip_spark.datasets.manifest import Manifest
from clip_spark.embed import pending
from clip_spark.embed import texts as texts_module
from clip_spark.embed.pictures import embed_images
from clip_spark.embed.specs import EmbedImagesSpec


def tasks_run_here(patch: pytest.MonkeyPatch) -> None:
    """The tasks of the embedding steps in this process, one after the other."""

    def run_shards(_spark: Any, _step: str, items: Any, work: Any, _profile: Any = None) -> None:
        for item in items:
            work(item)

    here = SimpleNamespace(threads_per_task=lambda *_: 0, gpu_profile=lambda *_: None, is_retry=lambda: False)
    patch.setattr(pending, "run_shards", run_shards)
    for module in (pending, texts_module):
        patch.setattr(module, "devices", here)


def no_session() -> Any:
    return SimpleNamespace(sparkContext=None)


def draw(folder: Path, name: str, width: int = 20) -> None:
    """A picture whose width and colours tell it from others."""
    folder.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng([width, *name.encode()]).integers(0, 255, (8, width, 3), dtype=np.uint8)
    Image.fromarray(colours).save(folder / name)


def embed(folder: Path, **options: Any) -> Manifest:
    """embed-images of `folder/in` into `folder/emb`."""
    spec = {"images": (str(folder / "in"),), "output": str(folder / "emb"), "shard_rows": 2, "precision": "fp32"}
    return embed_images(no_session, EmbedImagesSpec(**{**spec, **options}))


def rows_by_uri(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Name of the picture -> its record and under `vector` its embedding; a name that comes twice fails."""
    found: dict[str, dict[str, Any]] = {}
    for records, embeddings in zip(manifest.files("records"), manifest.files("embeddings"), strict=True):
        rows, vectors = pq.read_table(records).to_pylist(), read_embeddings(embeddings)
        ids = pq.read_table(embeddings, columns=["record_id"])["record_id"].to_pylist()
        assert ids == [row["record_id"] for row in rows]
        for row, vector in zip(rows, vectors, strict=False):
            name = row["uri"].rpartition("/")[2]
            assert name not in found
            found[name] = {**row, "vector": vector}
    return found
