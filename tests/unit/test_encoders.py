"""Encoders: equal to open_clip's own results, whatever is cut, batched or prefixed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_spark.encoders import EncoderSpec, check_model, load_encoder
from clip_spark.encoders.demo_model import model_folder
from clip_spark.encoders.names import check_model as check_open_clip
from clip_spark.encoders.names import has_vision_transformer, parse_model
from clip_spark.encoders.trie import NO_TOKEN
from clip_spark.errors import ModelError, Rejected

TEXTS = ["dog", "a red apple on a table", "Café & crème", "word " * 90, "", "hello, world!!", "dog", "日本 語"]


@pytest.fixture(scope="module")
def encoder() -> Any:
    return load_encoder(EncoderSpec("demo", "fp32"), "cpu")


@pytest.fixture(scope="module")
def reference() -> Any:
    """(model, tokenizer, transform) as open_clip itself makes them."""
    import open_clip

    name = f"local-dir:{model_folder()}"
    model, transform = open_clip.create_model_from_pretrained(name)
    return model.eval(), open_clip.get_tokenizer(name), transform


def reference_texts(reference: Any, texts: list[str]) -> np.ndarray:
    import torch

    model, tokenizer, _ = reference
    with torch.inference_mode():
        return model.encode_text(tokenizer(texts), normalize=True).numpy()


@pytest.mark.parametrize("batch_size", [0, 1, 40])
def test_trimmed_texts_equal_the_full_context(encoder: Any, reference: Any, batch_size: int) -> None:
    found = encoder.encode_texts(TEXTS, batch_size)
    assert found.dtype == np.float32 and found.shape == (len(TEXTS), encoder.dim)
    np.testing.assert_allclose(found, reference_texts(reference, TEXTS), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("prefix", ["a photo of a ", "x", "The "])
def test_a_prefix_is_part_of_the_text(encoder: Any, reference: Any, prefix: str) -> None:
    found = encoder.encode_texts(encoder.tokenise([prefix + text for text in TEXTS]))
    np.testing.assert_allclose(found, reference_texts(reference, [prefix + text for text in TEXTS]), atol=1e-5)


@settings(max_examples=25)
@given(st.permutations(TEXTS), st.integers(1, len(TEXTS)), st.integers(1, 60))
def test_any_order_any_cut_and_any_batch_give_the_same_vectors(
    encoder: Any, reference: Any, texts: list[str], cut: int, batch_size: int
) -> None:
    parts = [encoder.encode_texts(texts[start : start + cut], batch_size) for start in range(0, len(texts), cut)]
    found = np.concatenate(parts)
    np.testing.assert_allclose(found, reference_texts(reference, texts), atol=1e-5)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_close_for_every_row(encoder: Any, precision: str) -> None:
    half = load_encoder(EncoderSpec("demo", precision), "cpu")
    texts = [*TEXTS, *(f"{a} {b} {number}" for a in TEXTS[:4] for b in "xyz" for number in range(20))]
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (16, 4, 4, 3), dtype=np.uint8)
    pixels = coarse.repeat(16, axis=1).repeat(16, axis=2)
    assert (encoder.encode_texts(texts) * half.encode_texts(texts)).sum(axis=1).min() >= 0.9999
    assert (encoder.encode_pixels(pixels) * half.encode_pixels(pixels)).sum(axis=1).min() >= 0.9998


def test_int8_is_close_and_the_same_in_any_batch() -> None:
    import torch
    from open_clip.transformer import VisionTransformer

    from clip_spark.encoders.int8 import quantise

    torch.manual_seed(0)
    tower = VisionTransformer(64, 16, width=128, layers=4, heads=4, mlp_ratio=4.0, output_dim=64).eval()
    pictures = torch.randn(12, 3, 64, 64)
    with torch.inference_mode():
        exact = tower(pictures)
        quantise(tower)
        found, alone = tower(pictures), tower(pictures[3:4])
    assert not torch.equal(found, exact)  # it is another computation
    assert torch.nn.functional.cosine_similarity(found, exact).min() >= 0.999
    torch.testing.assert_close(alone, found[3:4], atol=1e-5, rtol=0)


def test_int8_needs_a_transformer() -> None:
    with pytest.raises(ModelError, match="int8 is for vision transformers"):
        load_encoder(EncoderSpec("demo", "int8"), "cpu")


def test_encoders_run_without_spark() -> None:
    code = """import sys
sys.modules["pyspark"] = None  # any import of it fails
from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.pictures.decode import open_picture
print(load_encoder(EncoderSpec("demo")).encode_texts(["dog"]).shape[0])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1"], done.stderr


def test_long_texts_are_counted(encoder: Any) -> None:
    before = encoder.stats().counters["texts_cut"]
    encoder.encode_texts(TEXTS)
    assert encoder.stats().counters["texts_cut"] == before + 1


def test_no_texts_and_no_pictures_give_no_rows(encoder: Any) -> None:
    assert encoder.encode_texts([]).shape == (0, encoder.dim) == encoder.encode_images([]).shape


@settings(max_examples=200)
@given(st.text(max_size=60) | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_bulk_tokens_equal_open_clips(encoder: Any, reference: Any, text: str) -> None:
    row = [token for token in encoder.tokenise([text]).table[0].tolist() if token != NO_TOKEN]
    expected = reference[1]([text])[0].tolist()
    assert row == expected[: len(row)] and (not any(expected[len(row) :]) or "<end_of_text>" in text.lower())


def test_pictures_equal_open_clips_pipeline(encoder: Any, reference: Any) -> None:
    import torch
    from PIL import Image

    generator = np.random.default_rng(0)
    sizes = [(64, 64), (200, 100), (33, 90)]
    images = [Image.fromarray(generator.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in sizes]
    images += [images[0].convert("RGBA"), images[1].convert("P"), images[2].convert("L"), images[1].convert("CMYK")]
    with torch.inference_mode():
        batch = torch.stack([reference[2](image) for image in images])
        expected = reference[0].encode_image(batch, normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_images(images), expected, atol=1e-5)


def test_towers_that_are_not_causal_are_not_cut() -> None:
    from open_clip.model import CLIP

    from clip_spark.encoders.text_tower import causal_tower

    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
    text = {"context_length": 16, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1}

    def tower(**changes: Any) -> Any:
        return causal_tower(CLIP(32, vision, {**text, **changes}))

    assert tower() is not None
    assert tower(no_causal_mask=True) is None
    assert tower(pool_type="last") is None


def test_info_is_complete(encoder: Any) -> None:
    info = encoder.info()
    assert info["model"] == "demo" and len(info["weights_sha256"]) == 64
    assert info["dim"] == encoder.dim and info["context_length"] == 32 and info["preprocess"]["size"] == 64


def test_the_encoder_is_loaded_once(encoder: Any) -> None:
    assert load_encoder(EncoderSpec("demo", "fp32"), "cpu") is encoder


def test_a_state_dict_on_disk_is_a_model(tmp_path: Any) -> None:
    import open_clip
    import torch

    path = tmp_path / "weights.pt"
    torch.manual_seed(0)
    model = open_clip.create_model("RN50").eval()
    torch.save(model.state_dict(), path)
    encoder = load_encoder(EncoderSpec(f"RN50:{path}", "fp32"), "cpu")
    with torch.inference_mode():
        expected = model.encode_text(open_clip.get_tokenizer("RN50")(["a dog"]), normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_texts(["a dog"]), expected, atol=1e-5)
    os.remove(path)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("ViT-B/31", "Did you mean 'ViT-B/32'"),
        ("demos", "Did you mean 'demo'"),
        ("ViT-B-32", "names no weights"),
        ("ViT-B-33:openai", "Did you mean"),
        ("ViT-B-32:laion2b_s34b", "Did you mean 'laion2b_s34b_b79k'"),
        ("ViT-B-32:/no/such/file.pt", "do not exist"),
        ("local-dir:/no/such/folder", "open_clip_config.json"),
    ],
)
def test_unknown_models_are_refused_with_advice(model: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_model(model)


@pytest.mark.parametrize(
    ("model", "sees"),
    [("demo", False), ("RN50", False), ("ViT-B/32", True), ("ViT-B-16-SigLIP:webli", False), ("coca_ViT-B-32:x", True)],
)
def test_int8_is_refused_before_any_task_for_what_is_no_vision_transformer(model: str, sees: bool) -> None:
    assert has_vision_transformer(parse_model(model)) is sees
    if not sees:
        with pytest.raises(ModelError, match="int8 is for vision transformers"):
            check_model(model, "int8")


def test_known_models_pass() -> None:
    assert check_open_clip("demo").folder
    assert parse_model("ViT-L/14@336px").architecture == "ViT-L-14-336"
    assert check_open_clip("ViT-B-32:laion2b_s34b_b79k").tag == "laion2b_s34b_b79k"


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"not a picture"])
def test_bytes_that_are_no_picture_are_rejected(encoder: Any, data: bytes) -> None:
    with pytest.raises(Rejected):
        encoder.encode_images([data])
