"""Datasets that older versions wrote stay readable, and their indices give the same answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from clip_spark.datasets.manifest import read_manifest
from clip_spark.errors import UserError
from clip_spark.search.searcher import Searcher

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
DATASETS = {
    "counts": ("counts", "counts", 223),
    "ngrams": ("records", "records", 80),
    "records": ("records", "records", 40),
    "ngram-emb": ("embeddings", "embeddings", 80),
    "record-emb": ("embeddings", "embeddings", 40),
    "image-emb": ("embeddings", "embeddings", 24),
    "tags": ("tags", "tags", 72),
    "hits": ("hits", "hits", 72),
}
"""Folder -> its kind, the folder of its rows, and how many."""


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """A copy, for an open index may leave files beside it."""
    shutil.copytree(GOLDEN, tmp_path / "golden")
    return tmp_path / "golden"


def answers(name: str) -> list[tuple[str, float]]:
    rows = [json.loads(line) for line in (GOLDEN / name).read_text().splitlines()]
    return [(row["record_id"], row["score"]) for row in rows]


def asked(index: Path) -> list[tuple[str, float]]:
    """Hits of the vector that the model of then gave for "dog"."""
    hits = Searcher.open(str(index)).search_embedding(np.array(json.loads((GOLDEN / "dog.json").read_text())), 5)
    return [(hit.record["record_id"], round(hit.score, 3)) for hit in hits]


@pytest.mark.parametrize("name", DATASETS)
def test_an_old_dataset_is_read(golden: Path, name: str) -> None:
    kind, folder, rows = DATASETS[name]
    manifest = read_manifest(str(golden / name), kind)
    assert manifest.rows == rows
    assert sum(pq.read_metadata(uri).num_rows for uri in manifest.files(folder)) == rows


def test_an_old_index_of_pictures_answers_as_it_did(golden: Path) -> None:
    assert asked(golden / "image-index") == [(i, round(s, 3)) for i, s in answers("search-images.jsonl")]


def test_an_old_takedown_is_honoured(golden: Path) -> None:
    after = [(i, round(s, 3)) for i, s in answers("search-after-removal.jsonl")]
    assert asked(golden / "text-index") == after
    assert answers("search.jsonl")[0][0] not in [record_id for record_id, _ in after]


def test_an_old_index_without_the_takedown_answers_as_it_did(golden: Path) -> None:
    (golden / "text-index" / "removed.json").unlink()
    assert asked(golden / "text-index") == [(i, round(s, 3)) for i, s in answers("search.jsonl")]


def test_an_old_index_is_not_asked_with_another_model_than_its_own(golden: Path) -> None:
    with pytest.raises(UserError, match="weights"):
        assert Searcher.open(str(golden / "image-index")).encoder
