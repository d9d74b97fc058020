"""Tags equal brute force, and sidecars lose no picture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from clip_spark.analysis.exported_tags import step
from clip_spark.analysis.exported_tags.spec import ExportTagsSpec
from clip_spark.analysis.exported_tags.step import export_tags
from clip_spark.analysis.specs import TagSpec
from clip_spark.analysis.tag_images import preview, tag_images
from clip_spark.errors import InputError, ModelError, SpecError
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from tests.helpers_embeddings import ENCODER, numbered, unit_vectors, write_embeddings

pytestmark = pytest.mark.spark


def no_spark():
    raise AssertionError("no session is needed here")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tags")
    write_embeddings(folder / "emb", unit_vectors(300), numbered(300))
    build_index(no_spark, IndexSpec(embeddings=str(folder / "emb"), output=str(folder / "index"), parts=2))
    return str(folder / "index")


def test_tags_equal_brute_force_and_sidecars_hold_them(
    spark, tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [tmp_path / "pictures" / f"{stem}.png" for stem in range(9)] + [tmp_path / "pictures" / "0.JPG"]
    pictures[0].parent.mkdir()
    for picture in pictures:
        picture.touch()
    vectors = unit_vectors(len(pictures), seed=3)
    names = [str(picture) for picture in pictures]
    write_embeddings(tmp_path / "emb", vectors, names, modality="image", shard_rows=4)
    spec = TagSpec(
        embeddings=str(tmp_path / "emb"), index=index, output=str(tmp_path / "tags"), k=4, sidecars=True, jsonl=True
    )
    manifest = tag_images(lambda: spark, spec)
    rows = [row for uri in manifest.files("tags") for row in pq.read_table(uri).to_pylist()]
    expected = np.argsort(-(vectors @ unit_vectors(300).T), axis=1)[:, :4]
    assert [row["text"] for row in rows] == [f"text {i}" for i in expected.reshape(-1)]
    assert [row["uri"] for row in rows] == [name for name in names for _ in range(4)]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4] * len(names)
    assert (tmp_path / "pictures" / "1.knn").read_text().splitlines() == [f"text {i}" for i in expected[1]]
    assert (tmp_path / "pictures" / "0.JPG.knn").read_text().splitlines() == [f"text {i}" for i in expected[9]]
    assert (tmp_path / "pictures" / "0.png.knn").exists() and not (tmp_path / "pictures" / "0.knn").exists()
    lines = "".join(path.read_text() for path in sorted((tmp_path / "tags" / "jsonl").iterdir())).splitlines()
    assert [json.loads(line)["uri"] for line in lines] == names
    assert [tag["text"] for line in lines for tag in json.loads(line)["tags"]] == [row["text"] for row in rows]
    assert tag_images(no_spark, spec).created == manifest.created
    assert preview(manifest)[-1].rows[0][0] == "0.png"
    exported = ExportTagsSpec(tags=spec.output, output=str(tmp_path / "exported"), format="booru", top=2)
    monkeypatch.setattr(step, "ON_DRIVER", 0)
    assert ("files written", len(names)) in export_tags(lambda: spark, exported).rows
    assert (tmp_path / "pictures" / "1.txt").read_text() == ", ".join(f"text {i}" for i in expected[1][:2]) + "\n"
    assert export_tags(lambda: spark, replace(exported, undo=True)).rows == [("files given back", len(names))]
    assert not list((tmp_path / "pictures").glob("*.txt"))


def test_quotas_give_each_order_its_tags(spark, tmp_path: Path) -> None:
    texts = [" ".join(["word"] * (1 + i % 3)) + str(i) for i in range(90)]
    write_embeddings(tmp_path / "texts", unit_vectors(90), texts)
    build_index(no_spark, IndexSpec(embeddings=str(tmp_path / "texts"), output=str(tmp_path / "index")))
    vectors = unit_vectors(5, seed=3)
    write_embeddings(tmp_path / "emb", vectors, numbered(5, "p"), modality="image")
    spec = TagSpec(
        embeddings=str(tmp_path / "emb"),
        index=str(tmp_path / "index"),
        output=str(tmp_path / "tags"),
        quotas=("1:3", "3:2"),
    )
    rows = pq.read_table(tag_images(lambda: spark, spec).files("tags")[0]).to_pylist()
    for image in range(5):
        mine = rows[5 * image : 5 * image + 5]
        scores = vectors[image] @ unit_vectors(90).T
        expected = {i for n, k in ((0, 3), (2, 2)) for i in [j for j in np.argsort(-scores) if j % 3 == n][:k]}
        assert {row["text"] for row in mine} == {texts[i] for i in expected}
        assert [row["rank"] for row in mine] == [1, 2, 3, 4, 5]
        assert [row["score"] for row in mine] == sorted((row["score"] for row in mine), reverse=True)
    with pytest.raises(SpecError, match="cannot be used"):
        tag_images(no_spark, TagSpec(**{**vars(spec), "output": str(tmp_path / "other"), "where": "nonsense = 1"}))


def test_what_does_not_fit_is_refused_before_a_session(tmp_path: Path, index: str) -> None:
    def tag(modality: str, **encoder: str):
        write_embeddings(
            tmp_path / modality / "emb", unit_vectors(3), numbered(3), modality=modality, encoder={**ENCODER, **encoder}
        )
        spec = TagSpec(embeddings=str(tmp_path / modality / "emb"), index=index, output=str(tmp_path / "tags"))
        return tag_images(no_spark, spec)

    with pytest.raises(InputError, match="holds embeddings of texts"):
        tag("text")
    with pytest.raises(ModelError, match="other weights of that name"):
        tag("image", weights_sha256="x")
