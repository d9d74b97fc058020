"""Appending to inverted lists: same quantizers, complete ids, recall for the new vectors too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.index.build.build import build_index
from clip_spark.index.files.layout import read_index
from clip_spark.index.files.part_writer import stored_ids
from clip_spark.index.open.parts import open_parts
from clip_spark.index.specs import IndexSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings

pytestmark = pytest.mark.spark


@pytest.mark.parametrize("key", ["IVF16,Flat", "IVF16,SQ8", "OPQ8_32,IVF16,PQ8x8", "IVF16_HNSW8,Flat"])
def test_appended_vectors_are_found(spark, tmp_path: Path, key: str) -> None:
    vectors = unit_vectors(3000)
    texts = numbered(3000)
    write_embeddings(tmp_path / "a", vectors[:2000], texts[:2000])
    write_embeddings(tmp_path / "b", vectors[2000:], texts[2000:])
    spec = IndexSpec(embeddings=str(tmp_path / "a"), output=str(tmp_path / "index"), index_key=key, parts=2)
    build_index(lambda: spark, spec)
    spec = IndexSpec(**{**vars(spec), "embeddings": str(tmp_path / "b"), "append": True})
    manifest = build_index(lambda: spark, spec)
    _, info = read_index(manifest.uri)
    ids = np.concatenate([stored_ids(index) for index in open_parts(manifest.uri, info).indexes])
    np.testing.assert_array_equal(np.sort(ids), np.arange(3000))
    assert info.measured["appended"]["recall_at_10"] >= 0.95
    for row in (0, 2000, 2999):
        assert Searcher.open(manifest.uri).search_embedding(vectors[row], 1)[0].record["text"] == texts[row]


def test_pictures_are_measured_with_bundled_captions_also_when_more_come(spark, tmp_path: Path) -> None:
    model = load_encoder(EncoderSpec("demo", "fp32"), "cpu")
    for name, seed in (("first", 0), ("more", 1)):
        vectors = unit_vectors(400, model.dim, seed=seed)
        names = numbered(400, name)
        write_embeddings(tmp_path / name, vectors, names, modality="image", encoder=model.info())
    output = str(tmp_path / "index")
    build_index(lambda: spark, IndexSpec(embeddings=str(tmp_path / "first"), output=output, index_key="IVF4,Flat"))
    build_index(lambda: spark, IndexSpec(embeddings=str(tmp_path / "more"), output=output, append=True))
    measured = read_index(output)[1].measured
    for figures in (measured, measured["appended"]):
        assert figures["cross_measured_with"] == "500 bundled captions"
        assert figures["recall_at_10_cross"] >= 0.95
