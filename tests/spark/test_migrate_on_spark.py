"""migrate-index on Spark: each set by the step that made it, a calibration too, killed between its stages and grown."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip_spark.analysis.migrate import step
from clip_spark.analysis.migrate.spec import MigrateSpec
from clip_spark.analysis.migrate.step import migrate_index
from clip_spark.datasets.manifest import read_manifest
from clip_spark.embed.pictures import embed_images
from clip_spark.embed.specs import EmbedImagesSpec, EmbedTextSpec
from clip_spark.embed.texts import embed_text
from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.errors import OutputError
from clip_spark.index.build.build import build_index
from clip_spark.index.change.remove import remove_records
from clip_spark.index.files.layout import read_index
from clip_spark.index.specs import IndexSpec, RemoveSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_models import small_model
from tests.helpers_web import copy_tar

PICTURES = 70


def test_all_of_it_by_one_command(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tar = copy_tar(tmp_path / "pictures" / "00000.tar", PICTURES)
    index, model = str(tmp_path / "index"), f"local-dir:{small_model(tmp_path / 'model')}"

    def source() -> Any:
        return spark

    pictures = EmbedImagesSpec(images=(str(tar.parent),), metadata_columns=("group",), output=str(tmp_path / "emb"))
    embed_images(source, pictures)
    words = EmbedTextSpec(records=(str(tmp_path / "emb"),), text_column="caption", output=str(tmp_path / "words"))
    embed_text(source, words)
    build_index(source, IndexSpec(embeddings=pictures.output, queries=words.output, output=index))
    assert read_index(index)[1].calibration is not None
    with Searcher.open(index) as searcher:
        gone = searcher.records.take(np.array([3]), ["record_id"]).column(0)[0].as_py()
    remove_records(source, RemoveSpec(index=index, ids=(gone,)))
    spec = MigrateSpec(index=index, model=model, output=str(tmp_path / "new"), bar=0.001)
    killed = [OSError("the driver dies")]
    real = step.build_other

    def dies(*given: Any) -> Any:
        if killed:
            raise killed.pop()
        return real(*given)

    monkeypatch.setattr(step, "build_other", dies)
    with pytest.raises(OSError, match="dies"):
        migrate_index(source, spec)
    made = read_manifest(str(tmp_path / "new" / "embeddings"))
    found = migrate_index(source, spec)
    assert read_manifest(str(tmp_path / "new" / "embeddings")).created == made.created  # not embedded again
    assert found.change["taken down"] == 1 and found.change["queries"] > 30
    _, info = read_index(index)
    if info.encoder["model"] != model:  # what noise finds decides whether it passes so low a bar
        migrate_index(source, MigrateSpec(index=index, model=model, output=str(tmp_path / "new"), switch=True))
        _, info = read_index(index)
    assert info.encoder["model"] == model and info.calibration is not None and info.rows == PICTURES - 1
    encoder = load_encoder(EncoderSpec(model, "fp32"))
    with Searcher.open(index) as searcher:
        assert "group" in searcher.records.columns
        hit = searcher.search_text("a dog", 1)[0]
        assert hit.record["record_id"] != gone
        vector = searcher.embedding_of(hit.record["record_id"])
        np.testing.assert_allclose(vector @ encoder.encode_texts(["a dog"])[0], hit.score, atol=1e-4)


def test_an_index_that_grows_meanwhile_is_told_and_then_done(spark: Any, tmp_path: Path) -> None:
    index, model = str(tmp_path / "index"), f"local-dir:{small_model(tmp_path / 'model')}"
    tars = [copy_tar(tmp_path / name / "00000.tar", count) for name, count in (("a", 4), ("b", 6))]
    for tar in tars:
        name = tar.parent.name
        embed_images(lambda: spark, EmbedImagesSpec(images=(str(tar),), output=str(tmp_path / f"{name}-emb")))
    build_index(lambda: spark, IndexSpec(embeddings=str(tmp_path / "a-emb"), output=index))
    spec = MigrateSpec(index=index, model=model, output=str(tmp_path / "new"), switch=True)
    others = [IndexSpec(embeddings=str(tmp_path / "b-emb"), output=index, append=True)]

    def meanwhile() -> Any:
        while others:
            build_index(lambda: spark, others.pop())
        return spark

    with pytest.raises(OutputError, match="grown while this ran"):
        migrate_index(meanwhile, spec)
    found = migrate_index(lambda: spark, spec)
    assert found.change["records that only the first has"] == 0 and read_index(index)[1].rows == 10
    assert read_index(index)[1].encoder["model"] == model
    shutil.rmtree(tmp_path / "new")  # the index needs its embeddings no more
    assert "again" in migrate_index(lambda: spark, MigrateSpec(index=index, rollback=True)).said
