"""Appending to inverted lists: same quantizers, complete ids, recall for the new vectors too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.index.build.build import build_index
from clip_spark.index.change.remove import remove_records
from clip_spark.index.files.faiss_library import has_rabitq
from clip_spark.index.files.layout import read_index
from clip_spark.index.files.part_writer import stored_ids
from clip_spark.index.open.parts import open_parts
from clip_spark.index.specs import IndexSpec, RemoveSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings

pytestmark = pytest.mark.spark


CODES = ["OPQ8_32,IVF16,PQ8x8", *(["RR32,IVF16,RaBitQ"] if has_rabitq() else [])]
LONG = [pytest.param(key, marks=pytest.mark.long) for key in ("IVF16,Flat", "IVF16,SQ8", "IVF16_HNSW8,Flat")]


@pytest.mark.parametrize("key", [*CODES, *LONG])
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


def test_lists_leave_out_what_is_known_or_was_taken_down(spark, tmp_path: Path) -> None:
    vectors, texts, index = unit_vectors(1500), numbered(1500), str(tmp_path / "index")
    write_embeddings(tmp_path / "a", vectors[:1000], texts[:1000])
    write_embeddings(tmp_path / "all", vectors, texts)
    spec = IndexSpec(embeddings=str(tmp_path / "a"), output=index, index_key="IVF8,SQ8", parts=2)
    build_index(lambda: spark, spec)
    remove_records(lambda: spark, RemoveSpec(index=index, where="text in ('text 3', 'text 7')", compact=True))
    spec = IndexSpec(**{**vars(spec), "embeddings": str(tmp_path / "all"), "append": True})
    news = "500 new; 998 left out, which it has already; 2 left out, which were taken down"
    assert build_index(lambda: spark, spec).news == news
    spec = IndexSpec(**{**vars(spec), "append": False, "overwrite": True})
    assert build_index(lambda: spark, spec).news == "2 left out, which were taken down"
    list(delete_each(find_leftovers(index, older_than_hours=0, unfinished=False)))
    proof = remove_records(lambda: spark, RemoveSpec(index=index, verify=True))
    assert ("removed in all", 2) in proof.rows and read_index(index)[1].rows == 1498
    searcher = Searcher.open(index)
    for row in (0, 999, 1000, 1499):
        assert searcher.search_embedding(vectors[row], 1)[0].record["text"] == texts[row]


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
