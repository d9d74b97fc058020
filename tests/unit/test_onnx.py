"""Pictures through ONNX Runtime: torch's vectors, from a file that is written once."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip_spark.embed.specs import EmbedImagesSpec
from clip_spark.encoders import EncoderSpec, check_backend, load_encoder, onnx_export
from clip_spark.encoders.onnx_encoder import OnnxEncoder
from clip_spark.encoders.open_clip import OpenClipEncoder
from clip_spark.encoders.spec import BACKENDS
from clip_spark.errors import ModelError, SpecError, UserError
from clip_spark.index.files.one_encoder import same_encoder
from tests.helpers_growth import draw, embed, rows_by_uri, tasks_run_here
from tests.helpers_models import TEXT, small_model, write_model

RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 32, "head_width": 16, "patch_size": None}
DEEPER = {"image_size": 32, "layers": 2, "width": 32, "head_width": 8, "patch_size": 16}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> str:
    return f"local-dir:{small_model(tmp_path / 'model')}"


def onnx(model: str) -> OnnxEncoder:
    return OnnxEncoder(EncoderSpec(model, backend="onnx"), "cpu")


def pixels(encoder: Any, pictures: int) -> np.ndarray:
    shape = encoder.sample_pixels().shape[1:]
    return np.random.default_rng(1).integers(0, 256, (pictures, *shape), dtype=np.uint8)


def files(cache: Path) -> list[Path]:
    return sorted(cache.glob("onnx-*/model.onnx"))


@pytest.mark.parametrize("kind", ["vision transformer", "ResNet", "the demo's"])
def test_vectors_are_those_of_torch_in_any_pass(tmp_path: Path, model: str, kind: str) -> None:
    if kind == "ResNet":
        config = {"embed_dim": 16, "vision_cfg": RESNET, "text_cfg": TEXT}
        model = f"local-dir:{write_model(tmp_path / 'resnet', config, {'size': 32})}"
    encoder = onnx("demo" if kind == "the demo's" else model)
    by_torch = OpenClipEncoder(EncoderSpec(encoder.spec.model, "fp32"), "cpu")
    seen = pixels(encoder, 7)
    for per_pass in (1, 3, 32):
        found = encoder.encode_pixels(seen, per_pass)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, by_torch.encode_pixels(seen), atol=1e-5)
    np.testing.assert_array_equal(encoder.encode_texts(["a dog"]), by_torch.encode_texts(["a dog"]))
    assert same_encoder(encoder.info(), by_torch.info()) and encoder.info()["backend"] == "onnx"


def test_the_file_is_written_once(model: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = onnx(model)
    assert len(files(cache)) == 1
    monkeypatch.setattr(onnx_export, "_export", None)
    again = onnx(model)
    seen = pixels(first, 2)
    np.testing.assert_array_equal(first.encode_pixels(seen), again.encode_pixels(seen))


def test_other_weights_have_a_file_of_their_own(tmp_path: Path, model: str, cache: Path) -> None:
    onnx(model)
    onnx(f"local-dir:{small_model(tmp_path / 'other', quick=True)}")
    assert len(files(cache)) == 2


def test_an_export_that_fails_leaves_nothing(model: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(tower: Any, shape: tuple[int, ...], place: Path) -> None:
        place.write_bytes(b"half")
        raise ValueError("no counterpart of aten::odd")

    monkeypatch.setattr(onnx_export, "_export", fails)
    with pytest.raises(
        ModelError, match="cannot be written as ONNX .no counterpart of aten::odd.; leave --backend out"
    ):
        onnx(model)
    assert [path for path in cache.glob("onnx-*") if path.is_dir()] == []


def test_what_a_killed_export_left_goes(model: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(tower: Any, shape: tuple[int, ...], place: Path) -> None:
        place.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(onnx_export, "_export", killed)
        patch.setattr(shutil, "rmtree", lambda *_args, **_options: None)
        with pytest.raises(KeyboardInterrupt):
            onnx(model)
    (left,) = [path for path in cache.glob("onnx-*") if path.is_dir()]
    onnx(model)
    assert not left.exists() and len(files(cache)) == 1


def test_a_damaged_file_is_said(model: str, cache: Path) -> None:
    onnx(model)
    files(cache)[0].write_bytes(b"damaged")
    with pytest.raises(ModelError, match="cannot be read .*; delete its folder"):
        onnx(model)


def test_a_file_of_other_weights_is_refused(tmp_path: Path, model: str, cache: Path) -> None:
    onnx(model)
    (mine,) = files(cache)
    config = {"embed_dim": 16, "vision_cfg": DEEPER, "text_cfg": TEXT}
    onnx(f"local-dir:{write_model(tmp_path / 'other', config, {'size': 32})}")
    (other,) = set(files(cache)) - {mine}
    shutil.rmtree(mine.parent)
    other.parent.rename(mine.parent)
    with pytest.raises(ModelError, match="are not those of the model .cosine .* delete its folder"):
        onnx(model)


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_backend("torch")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"needs onnxruntime, onnx, onnxscript; install it with .*clip-spark\[onnx\]"):
        check_backend("onnx")


@pytest.mark.parametrize("precision", ["bf16", "int8", "fastest"])
def test_it_computes_in_fp32_alone(precision: str) -> None:
    with pytest.raises(SpecError, match=f"--backend onnx computes in fp32; leave out --precision {precision}"):
        EmbedImagesSpec(images=("x",), output="y", backend="onnx", precision=precision)


def test_it_is_for_cpus(model: str) -> None:
    with pytest.raises(UserError, match="--backend onnx is for CPUs, and this task has cuda:0"):
        OnnxEncoder(EncoderSpec(model, backend="onnx"), "cuda:0")


def test_the_encoder_of_a_spec_is_the_one_of_its_backend(model: str) -> None:
    assert isinstance(load_encoder(EncoderSpec(model, backend="onnx"), "cpu"), OnnxEncoder)
    assert type(load_encoder(EncoderSpec(model, "fp32"), "cpu")) is OpenClipEncoder


def test_what_was_embedded_before_there_was_a_choice_stays_finished() -> None:
    plain = EmbedImagesSpec(images=("x",), output="y")
    assert "backend" not in plain.content()
    assert plain.fingerprint() != EmbedImagesSpec(images=("x",), output="y", backend="onnx").fingerprint()


def test_embed_images_writes_what_torch_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks_run_here(monkeypatch)
    for name in "abc":
        draw(tmp_path / "in", f"{name}.png")
    by_torch, by_onnx = (embed(tmp_path, output=str(tmp_path / name), backend=name) for name in BACKENDS)
    wanted = rows_by_uri(by_torch)
    for name, row in rows_by_uri(by_onnx).items():
        np.testing.assert_allclose(row["vector"], wanted[name]["vector"], atol=1e-5)
    assert by_onnx.rows == 3 and by_onnx.extra["encoder"]["backend"] == "onnx"
