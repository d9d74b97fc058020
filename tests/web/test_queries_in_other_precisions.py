"""Queries meet vectors of another precision: what is served is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip_spark.encoders import EncoderSpec, load_encoder, precision
from clip_spark.encoders.spec import LEAST_COSINE
from clip_spark.pictures.tars import TarPart
from clip_spark.runtime import devices
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher
from clip_spark.web.catalog import Catalog
from tests.helpers_web import copy_tar, make_indices

PICTURES = 12


@pytest.mark.parametrize(("stored", "asked"), [("fp32", "bf16"), ("fp32", "fp16"), ("bf16", "fp32"), ("fp16", "fp32")])
def test_an_index_answers_queries_of_another_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: str, asked: str
) -> None:
    indices = make_indices(tmp_path, PICTURES, stored)
    monkeypatch.setattr(precision, "for_queries", lambda *_: asked)
    catalog = Catalog.open(indices)
    pictures, words = catalog.get("images"), catalog.get("words")
    assert pictures.searcher.info.encoder["precision"] == stored
    assert pictures.searcher.encoder.info()["precision"] == asked
    found = list(TarPart(str(copy_tar(tmp_path / "again.tar", PICTURES))).read())
    for picture in found:
        vector = pictures.embed_picture(picture.data)
        best = pictures.nearest(vector, Wanted(k=1))[0]
        assert best.score >= LEAST_COSINE and best.position == found.index(picture)
    texts = [record["text"] for record in words.records(range(words.rows))]
    for position, text in enumerate(texts):
        best = words.nearest(words.embed_text(text), Wanted(k=1))[0]
        assert best.score >= LEAST_COSINE and best.position == position


def test_the_server_follows_the_index(tmp_path: Path) -> None:
    index = Searcher.open(make_indices(tmp_path, PICTURES, "bf16")["words"])
    expected = precision.for_queries("bf16", devices.pick_device())
    assert index.encoder.info()["precision"] == expected
    exact = load_encoder(EncoderSpec("demo", "fp32")).encode_texts(["a dog"])[0]
    assert np.dot(index.embed_text("a dog"), exact) >= LEAST_COSINE
