"""search-index and describe-set equal brute force."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from clip_spark.analysis import search_index as search_job
from clip_spark.analysis.describe import step as describe
from clip_spark.analysis.specs import DescribeSpec, SearchIndexSpec
from clip_spark.errors import SpecError
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings
from tests.helpers_resumed import data_of, disturbed, told

pytestmark = pytest.mark.spark
TEXTS = [" ".join(["word"] * (1 + i % 3)) + str(i) for i in range(90)]
VECTORS = unit_vectors(90)
IMAGES = unit_vectors(11, seed=3)


def no_spark():
    raise AssertionError("no session is needed here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    write_embeddings(folder / "texts", VECTORS, TEXTS, shard_rows=40)
    build_index(no_spark, IndexSpec(embeddings=str(folder / "texts"), output=str(folder / "index"), parts=2))
    Image.new("RGB", (300, 200), "red").save(folder / "p 0.png")
    names = [str(folder / f"{name}.png") for name in numbered(11, "p")]
    write_embeddings(folder / "images", IMAGES, names, modality="image", shard_rows=4)
    return folder


def test_hits_of_all_queries(spark, folder: Path) -> None:
    spec = SearchIndexSpec(
        queries=str(folder / "images"), index=str(folder / "index"), output=str(folder / "hits"), k=3, columns=("text",)
    )
    manifest = search_job.search_index(lambda: spark, spec)
    rows = [row for uri in manifest.files("hits") for row in pq.read_table(uri).to_pylist()]
    expected = np.argsort(-(IMAGES @ VECTORS.T), axis=1)[:, :3].reshape(-1)
    assert [row["text"] for row in rows] == [TEXTS[i] for i in expected]
    assert [row["rank"] for row in rows] == [1, 2, 3] * 11
    assert search_job.search_index(no_spark, spec).created == manifest.created
    assert len(search_job.preview(manifest)[-1].rows) == 12  # the first shard
    with pytest.raises(SpecError, match="no column 'txt'.*Did you mean 'text'"):
        search_job.search_index(
            no_spark, SearchIndexSpec(**{**vars(spec), "output": str(folder / "other"), "columns": ("txt",)})
        )
    assert not (folder / "other").exists()


def test_the_description_of_a_set(spark, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = DescribeSpec(
        embeddings=str(folder / "images"), index=str(folder / "index"), output=str(folder / "described")
    )
    manifest = describe.describe_set(lambda: spark, spec)
    table = describe.preview(manifest)[-1]
    assert [row[0] for row in table.rows] == ["1", "2", "3"]
    for order, row in enumerate(table.rows):
        mine = np.arange(order, 90, 3)
        scores = IMAGES @ VECTORS[mine].T
        np.testing.assert_allclose(row[2], scores.max(axis=1).mean(), atol=1e-5)
        wanted = np.quantile(scores.max(axis=1), [0.1, 0.5, 0.9], method="inverted_cdf")
        np.testing.assert_allclose(row[3:6], wanted, atol=1e-4)
        count = Counter(TEXTS[mine[i]] for i in scores.argmax(axis=1))
        first = min(count, key=lambda text: (-count[text], text))
        assert row[-1].startswith(f"{first} ({count[first]})")
    summary = json.loads((folder / "described" / "summary.json").read_text())
    assert all(sum(each["bins"].values()) == 11 for each in summary["classes"])
    with monkeypatch.context() as once:
        once.setattr(describe, "run_shards", lambda _spark, _step, items, work: [work(item) for item in items])
        again = disturbed(
            once,
            describe.DescribeTask,
            1,
            lambda: describe.describe_set(lambda: spark, replace(spec, output=str(folder / "again"))),
        )
    assert told(again) == told(manifest) and data_of(again) == data_of(manifest)
    for name in ("summary.json", "describe.html"):
        assert (folder / "again" / name).read_bytes() == (folder / "described" / name).read_bytes()
    page = (folder / "described" / "describe.html").read_text()
    assert "data:image/png;base64," in page and "<h2>class 3</h2>" in page and page.count("<svg") == 3
