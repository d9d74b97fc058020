"""A small map, made in this process without Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clip_spark.analysis.map.spec import MapSpec
from clip_spark.analysis.map.step import make_map
from clip_spark.datasets.manifest import Manifest
from tests.helpers_spark import in_this_process


def make_small_map(folder: Path, name: str = "map", **options: Any) -> Manifest:
    """The map of `images-emb` and `words-emb` in a folder of `helpers_web.make_indices`."""
    given = {"embeddings": str(folder / "images-emb"), "texts": str(folder / "words-emb"), "columns": ("group",)}
    with pytest.MonkeyPatch.context() as patch:
        return make_map(in_this_process(patch), MapSpec(output=str(folder / name), **{**given, **options}))
