"""`--precision fastest`: int8 only where it gains and keeps the vectors of the pictures that are to be embedded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clip_spark import storage
from clip_spark.datasets.embeddings import read_embeddings
from clip_spark.datasets.manifest import REPORT
from clip_spark.datasets.run import begin_run
from clip_spark.embed import fastest, preview
from clip_spark.embed.facts import facts, with_precision
from clip_spark.embed.fastest import compare, is_better, is_comparison
from clip_spark.embed.pictures import plan_tasks
from clip_spark.embed.specs import EmbedImagesSpec, EmbedTextSpec
from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.errors import SpecError
from clip_spark.pictures.find import find_pictures, plan_shards
from clip_spark.runtime import devices
from clip_spark.storage.local_cache import CACHE_VARIABLE

TOWERS = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A vision transformer of random weights."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("model")
    (place / "open_clip_config.json").write_text(json.dumps({"model_cfg": TOWERS, "preprocess_cfg": {"size": 32}}))
    save_file(open_clip.CLIP(**TOWERS).state_dict(), place / "open_clip_model.safetensors")
    return f"local-dir:{place}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Twelve pictures of one colour each, the second of which is damaged; this machine remembers nothing."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    place = tmp_path / "pictures"
    place.mkdir()
    for number in range(12):
        Image.new("RGB", (80, 60), (20 * number, 200 - 10 * number, 90)).save(place / f"{number:02}.png")
    (place / "01.png").write_bytes(b"\x89PNG\r\n\x1a\n, and no more")
    return str(place)


def sample(folder: str, shard_rows: int) -> fastest.Sample:
    """What a plan would choose of a folder."""
    shards = plan_shards(find_pictures((folder,)), shard_rows)
    return fastest.sample_of([shard.part for shard in shards], fast_decode=False)


def shown(rates: dict[str, float], cosine: float) -> dict[str, Any]:
    return {"pictures": 9, "pictures_a_second": rates, "cosine": cosine}


@pytest.mark.parametrize(
    ("rates", "cosine", "expected"),
    [
        ({"fp32": 10.0, "int8": 15.0}, 0.9995, True),
        ({"fp32": 10.0, "int8": 15.0}, 0.9985, False),  # not the same pictures any more
        ({"bf16": 20.0, "int8": 15.0}, 1.0, False),
        ({"fp32": 10.0, "int8": 10.2}, 1.0, False),  # noise
        ({"fp32": 0.0}, 0.0, False),  # no picture could be read
        ({"fp32": 10.0, "int8": 15.0}, -1.0, False),  # it gave no numbers
    ],
)
def test_int8_must_gain_and_keep_the_vectors(rates: dict[str, float], cosine: float, expected: bool) -> None:
    assert is_better(shown(rates, cosine)) is expected
    assert is_comparison(shown(rates, cosine)) and not is_comparison({"pictures": 3})


def test_the_sample_is_the_same_for_every_task_and_comes_from_all_of_the_input(folder: str, model: str) -> None:
    spread = sample(folder, 3)
    names = [storage.name(file.uri) for part in spread.parts for file in part.files]  # type: ignore[union-attr]
    assert names == [f"{number:02}.png" for number in range(12)]
    few = sample(folder, 12)
    assert few == sample(folder, 12)
    assert len(few.pixels(load_encoder(EncoderSpec(model, "fp32")))) == 11  # of what can be read


def test_pictures_are_encoded_both_ways(folder: str, model: str) -> None:
    spec = EncoderSpec(model, "fp32")
    encoder = load_encoder(spec)
    pixels = sample(folder, 0).pixels(encoder)
    found = compare(encoder, spec, pixels)
    small = load_encoder(EncoderSpec(model, "int8"))
    expected = (small.encode_pixels(pixels) * encoder.encode_pixels(pixels)).sum(axis=1).min()
    assert found["cosine"] == pytest.approx(expected, abs=1e-6)
    assert found["pictures"] == 11 and min(found["pictures_a_second"].values()) > 0
    assert compare(encoder, spec, pixels[:0])["pictures"] == 0


@pytest.mark.parametrize(("cosine", "expected"), [(0.9999, "int8"), (0.99, "fp32")])
def test_the_first_task_decides_for_all(
    folder: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cosine: float, expected: str
) -> None:
    asked: list[int] = []

    def invented(_encoder: object, _spec: object, pixels: np.ndarray) -> dict[str, Any]:
        asked.append(len(pixels))
        return shown({"fp32": 10.0, "int8": 15.0}, cosine)

    monkeypatch.setattr(fastest, "compare", invented)
    monkeypatch.setattr(devices, "precisions", lambda device: ["fp32"])
    spec = EmbedImagesSpec(
        images=(folder,), output=str(tmp_path / "out"), model=model, precision="fastest", shard_rows=6
    )
    planned = plan_tasks(spec)
    run = begin_run(spec.output, planned.plan, overwrite=False)
    for shard in planned.items:
        planned.work(run.output, 1)(shard)
    manifest = run.commit(facts(run, "image", 0.0), with_precision(run))
    same = load_encoder(EncoderSpec(model, expected))
    pixels = sample(folder, 6).pixels(same)
    found = np.concatenate([read_embeddings(uri) for uri in manifest.files("embeddings")])
    np.testing.assert_allclose(found, same.encode_pixels(pixels), atol=1e-5)
    assert asked == [11] and manifest.extra["encoder"] == same.info()
    assert storage.read_json(manifest.locate(REPORT))["precision_sample"]["cosine"] == cosine
    assert "least cosine of 9 of these pictures in int8 to fp32" in str(preview(manifest)[0].rows)


def test_where_there_is_no_int8_fastest_is_auto(folder: str, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = load_encoder(EncoderSpec("demo", "fp32"))  # no transformer
    assert sample(folder, 0)(demo, EncoderSpec("demo"), "plan") == (demo, {})
    monkeypatch.setattr(devices, "has_int8", lambda device: False)
    encoder = load_encoder(EncoderSpec(model, "fp32"))
    assert sample(folder, 0)(encoder, EncoderSpec(model), "plan") == (encoder, {})


def test_texts_and_misspellings_are_refused() -> None:
    with pytest.raises(SpecError, match="fastest is for pictures"):
        EmbedTextSpec(records=("records",), output="out", precision="fastest")
    with pytest.raises(SpecError, match=r"one of .*fastest\. Did you mean 'fastest'"):
        EmbedImagesSpec(images=("pictures",), output="out", precision="fast")
