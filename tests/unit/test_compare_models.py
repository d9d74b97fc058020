"""compare-models: figures by hand, one decode for all models, and the same sample wherever the pictures lie."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clip_spark.analysis.compare import step
from clip_spark.analysis.compare.figures import chances, find, numbered
from clip_spark.analysis.compare.page import compare_page
from clip_spark.analysis.compare.sample import read_sample
from clip_spark.analysis.compare.spec import CompareSpec
from clip_spark.analysis.compare.step import TO_PICTURE, TO_TEXT, compare_models, compared_tables
from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.errors import InputError, SpecError
from clip_spark.pictures.find import find_pictures

PRICES = {"price_per_core_hour": 0.05, "price_per_gpu_hour": 4.0}
NAMES = ("dog", "cat face", "red apple", "red apple", "fire engine", "tree")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six pictures with captions, one without, and one that is damaged."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        Image.new("RGB", (40, 40), (40 * number, 90, 200 - 30 * number)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(name)
    Image.new("RGB", (40, 40)).save(folder / "silent.png")
    (folder / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    (folder / "torn.txt").write_text("torn")
    return folder


def test_two_models_share_each_decode_and_have_the_figures_of_a_brute_force(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: Counter[bytes] = Counter()
    real = step.open_picture

    def counted(data: bytes, look: Any) -> Any:
        decoded[data] += 1
        return real(data, look)

    monkeypatch.setattr(step, "open_picture", counted)
    second = EncoderSpec("demo", "fp32")
    monkeypatch.setattr(step, "check_model", lambda *_: None)
    monkeypatch.setattr(step, "load_encoder", lambda each: load_encoder(second) if each.model == "demo" else Blind())
    spec = CompareSpec(model=("demo", "blind"), images=(str(pictures),), sample=20, precision="fp32")
    found = compare_models(spec, PRICES)
    assert len(decoded) == 7 and set(decoded.values()) == {1}
    assert found.sample.texts == list(NAMES) and found.texts == ["dog", "cat face", "red apple", "fire engine", "tree"]
    assert dict(found.sample.left_out) == {"no text": 1, "damaged": 1}
    demo, blind = found.figures
    encoder = load_encoder(second)
    vectors = encoder.encode_images([(pictures / f"{n}.png").read_bytes() for n in range(6)])
    scores = encoder.encode_texts(found.texts) @ vectors.T
    right = [NAMES[best] == text for text, best in zip(found.texts, scores.argmax(axis=1), strict=True)]
    back = [found.texts[best] == name for name, best in zip(NAMES, scores.argmax(axis=0), strict=True)]
    assert demo[f"{TO_PICTURE} R@1"] == round(np.mean(right), 4)
    assert demo[f"{TO_TEXT} R@1"] == round(np.mean(back), 4)
    assert demo["bytes per vector"] == 1024 and demo["USD per million pictures"] > 0
    assert blind[f"{TO_TEXT} R@1"] == round(1 / 6, 4), "all texts alike: the first one is found"
    assert all(len(row) == len(table.columns) for table in compared_tables(found) for row in table.rows)
    page = compare_page(found)
    assert "blind" in page and "data:image/png;base64," in page and "<script" not in page


class Blind:
    """Finds everything alike."""

    tokenise = None

    def prepare(self, picture: Any, fast: bool = False) -> Any:
        return load_encoder(EncoderSpec("demo", "fp32")).prepare(picture)

    def info(self) -> dict[str, Any]:
        return {"model": "blind", "precision": "fp32", "dim": 2}

    def encode_texts(self, texts: Any, per_pass: int = 0) -> np.ndarray:
        return np.tile(np.array([1, 0], np.float32), (len(texts), 1))

    def encode_pixels(self, pixels: np.ndarray, per_pass: int = 0) -> np.ndarray:
        return np.tile(np.array([1, 0], np.float32), (len(pixels), 1))

    def stats(self) -> Any:
        return load_encoder(EncoderSpec("demo", "fp32")).stats()


def test_the_sample_is_the_same_from_files_and_another_with_another_seed(pictures: Path) -> None:
    def chosen(seed: int) -> list[str]:
        spec = CompareSpec(model=("demo",), images=(str(pictures),), sample=3, seed=seed)
        return [picture.uri for picture in read_sample(find_pictures(spec.images), spec).pictures]

    assert chosen(1) == chosen(1) and len(chosen(1)) == 3
    assert len({tuple(chosen(seed)) for seed in range(8)}) > 1


def test_tars_are_sampled_too_and_names_and_keys_may_be_the_texts(pictures: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "some.tar", "w") as tar:
        for number, name in enumerate(("green_tree", "old-house")):
            for ending, data in (("png", (pictures / f"{number}.png").read_bytes()), ("json", b'{"a": {"b": "X"}}')):
                info = tarfile.TarInfo(f"{name}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    for text, wanted in (("stem", ["green tree", "old house"]), ("a.b", ["X", "X"]), ("caption", [])):
        spec = CompareSpec(model=("demo",), images=(str(tmp_path / "some.tar"),), text=text)
        assert sorted(read_sample(find_pictures(spec.images), spec).texts) == wanted


def test_recall_hubs_and_chances_of_known_vectors() -> None:
    texts = np.eye(4, dtype=np.float32)
    pictures = np.eye(4, dtype=np.float32)[[0, 1, 3, 2, 2]]
    about = np.array([0, 1, 2, 3, 2])
    found = find(texts, pictures, np.arange(4), about)
    assert found.recall[1] == 0.5 and found.right.tolist() == [True, True, False, False]
    assert find(texts, np.repeat(pictures, 4, axis=0), np.arange(4), np.repeat(about, 4)).hub == 1
    table = chances(texts, np.eye(4, dtype=np.float32), np.arange(4), seed=0)
    assert table["median right cosine"] == 1 and table["median chance"] == 0 and table["cosine of chance 0.01"] == 0
    assert numbered(["b", "a", "b"])[0] == ["b", "a"] and numbered(["b", "a", "b"])[1].tolist() == [0, 1, 0]


def test_what_cannot_be_compared_is_refused_in_a_sentence(pictures: Path) -> None:
    with pytest.raises(SpecError, match="twice"):
        CompareSpec(model=("demo", "demo"), images=("x",))
    with pytest.raises(SpecError, match="at most"):
        CompareSpec(model=("demo",), images=("x",), sample=10**6)
    with pytest.raises(InputError, match="8 no text"):
        compare_models(CompareSpec(model=("demo",), images=(str(pictures),), text="nothing"), PRICES)
