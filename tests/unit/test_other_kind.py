"""An index of pictures that was built without --queries is tuned for texts too; what is not measured is said."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.errors import ModelError
from clip_spark.index.build import other_kind as module
from clip_spark.index.build.exact import Wish, exact_answers
from clip_spark.index.build.measure import Goal, measure
from clip_spark.index.build.other_kind import EXACT, UNMEASURED, captions, other_kind
from clip_spark.index.build.questions import make_questions, recalls
from clip_spark.index.files.layout import IndexFile, IndexInfo, SearchSettings
from clip_spark.index.open.parts import PartSet

ROWS, KEY, GOAL = 10_000, "IVF128,Flat", 0.95
RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def encoder() -> Any:
    return load_encoder(EncoderSpec("demo", "fp32"), "cpu")


@pytest.fixture
def info(encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IndexInfo:
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path))
    return IndexInfo(
        encoder.info(), "image", encoder.dim, "ip", KEY, SearchSettings(), (IndexFile("p", 0, ROWS, 1, "x"),)
    )


def never(*_: object) -> Any:
    raise AssertionError("nothing is to be encoded")


def test_captions_are_plain_and_no_two_are_alike() -> None:
    texts = captions()
    assert len(texts) == len(set(texts)) == 500
    assert all(text.isascii() and text == text.strip() and 2 <= len(text.split()) <= 12 for text in texts)


def test_an_exact_index_encodes_nothing(info: IndexInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_encoder_like", never)
    found = other_kind(replace(info, key="Flat"), None, 0)
    assert len(found.vectors) == 0 and found.how == EXACT


def test_captions_are_encoded_once(info: IndexInfo, encoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = other_kind(info, None, 0)
    np.testing.assert_allclose(first.vectors, encoder.encode_texts(captions()), atol=1e-6)
    monkeypatch.setattr(module, "load_encoder_like", never)
    assert (other_kind(info, None, 0).vectors == first.vectors).all() and first.how == "500 bundled captions"


def test_an_index_of_texts_says_that_pictures_were_not_asked(info: IndexInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_encoder_like", never)
    assert other_kind(replace(info, modality="text"), None, 0).how == UNMEASURED["text"]


@pytest.mark.parametrize("encoder_says", [{"model": "fake"}, {"weights_sha256": "of another model"}])
def test_a_model_that_is_not_here_is_said(
    info: IndexInfo, encoder_says: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = other_kind(replace(info, encoder={**info.encoder, **encoder_says}), None, 0)
    assert len(found.vectors) == 0 and found.how == UNMEASURED["image"]
    assert "not tuned for texts" in caplog.text


def test_a_machine_without_the_libraries_is_said(info: IndexInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (ImportError("torch"), ModelError("no network")):
        monkeypatch.setattr(module, "load_encoder_like", raising(error))
        assert other_kind(info, None, 0).how == UNMEASURED["image"]


def raising(error: Exception) -> Any:
    def fail(*_: object) -> Any:
        raise error

    return fail


def test_texts_that_nobody_gave_find_their_pictures(info: IndexInfo, encoder: Any) -> None:
    words = (Path(module.__file__).parents[2] / "demo/text/objects.txt").read_text().split()
    asked = sorted({f"{a} {b}" for a, b in zip(RNG.permutation(words), RNG.permutation(words), strict=True)})[:400]
    told = [f"{a} {b} {c}" for a, b, c in RNG.choice(sorted(set(words)), (2_000, 3))]
    pictures = beside(encoder.encode_texts(told).repeat(ROWS // len(told), axis=0))
    index = faiss.index_factory(encoder.dim, KEY, faiss.METRIC_INNER_PRODUCT)
    index.train(pictures)
    index.add_with_ids(pictures, np.arange(ROWS))
    parts = PartSet([index], info)

    def exact(wanted: Sequence[Wish]) -> list[np.ndarray]:
        return [positions for _, positions in exact_answers([(0, pictures)], wanted)]

    positions = np.sort(RNG.choice(ROWS, 256, replace=False))
    other = other_kind(info, None, 0)
    own, cross = make_questions([(pictures[positions], positions), (other.vectors, None)], ROWS, exact)
    texts = encoder.encode_texts(asked)
    plain, tuned = (measure(parts, KEY, Goal(GOAL, 1e9), own, some, other.how) for some in ([], cross))
    reached = [
        recalls(parts.search(texts, 10, found.settings, fill=False)[1], exact([(texts, 10)])[0]).mean()
        for found in (plain, tuned)
    ]
    assert tuned.figures["recall_at_10_cross"] >= GOAL and tuned.figures["cross_measured_with"] == other.how
    assert reached[0] < reached[1] - 0.01 and reached[1] >= GOAL - 0.02


def beside(vectors: np.ndarray) -> np.ndarray:
    """Pictures of texts: some way off, all in one direction, float32 (n, d) of length 1."""
    gap = RNG.normal(size=vectors.shape[1])
    noise = RNG.normal(size=vectors.shape) / np.sqrt(vectors.shape[1])
    moved = vectors + noise * 0.9 + gap / np.linalg.norm(gap) * 1.2
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
