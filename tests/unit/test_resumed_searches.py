"""search-index and tag-images that were killed and run again equal runs that nobody disturbed, to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clip_spark.analysis import search_index as search_module
from clip_spark.analysis import tag_images as tag_module
from clip_spark.analysis.search_index import SearchTask, search_index
from clip_spark.analysis.specs import SearchIndexSpec, TagSpec
from clip_spark.analysis.tag_images import TagTask, tag_images
from clip_spark.datasets.manifest import Manifest
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings
from tests.helpers_growth import no_session
from tests.helpers_resumed import data_of, disturbed, told


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An exact index of texts, and three shards of pictures."""

    def run_shards(_spark: Any, _step: str, items: Any, work: Any) -> None:
        for item in items:
            work(item)

    for module in (search_module, tag_module):
        monkeypatch.setattr(module, "run_shards", run_shards)
    write_embeddings(tmp_path / "texts", unit_vectors(90), numbered(90))
    build_index(no_session, IndexSpec(embeddings=str(tmp_path / "texts"), output=str(tmp_path / "index")))
    write_embeddings(tmp_path / "in", unit_vectors(11, seed=3), numbered(11, "p"), modality="image", shard_rows=4)
    return tmp_path


def search(folder: Path, name: str) -> Manifest:
    spec = {"queries": str(folder / "in"), "index": str(folder / "index"), "columns": ("text",)}
    return search_index(no_session, SearchIndexSpec(output=str(folder / name), k=3, **spec))  # type: ignore[arg-type]


def tag(folder: Path, name: str) -> Manifest:
    spec = {"embeddings": str(folder / "in"), "index": str(folder / "index"), "output": str(folder / name)}
    return tag_images(no_session, TagSpec(k=3, jsonl=True, **spec))


@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize(("step", "work"), [(search, SearchTask), (tag, TagTask)])
def test_a_killed_run_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch, step: Any, work: Any, number: int) -> None:
    quiet = step(folder, "quiet")
    loud = disturbed(monkeypatch, work, number, lambda: step(folder, "loud"))
    assert told(loud) == told(quiet) and data_of(loud) == data_of(quiet) and loud.rows == 33
