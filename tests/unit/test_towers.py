"""Towers of each family that open_clip makes, with random weights: our vectors are open_clip's own, text by text.

Of those that need a hub for their tokens (SigLIP, CLIPA, roberta, mT5, NLLB) the tokeniser is one of the test's own, in
the folder of the model, with the padding, cleaning and context that the family asks for.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clip_spark.encoders import EncoderSpec, check_model, load_encoder
from clip_spark.encoders.loading import load_model
from clip_spark.encoders.text_tower import causal_tower
from clip_spark.errors import ModelError
from tests.helpers_models import TEXT, VIT, write_model, write_tokeniser

CONTEXT = 12
OWN = {**TEXT, "context_length": CONTEXT}
SIGLIP = {
    **OWN,
    "vocab_size": 64,
    "hf_tokenizer_name": "in the folder",
    "tokenizer_kwargs": {"clean": "canonicalize"},
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
    "norm_kwargs": {"eps": 1e-6},
}
CLIPA = {
    **{**SIGLIP, "tokenizer_kwargs": {"strip_sep_token": True}, "proj_bias": False, "norm_kwargs": None},
    "context_length": 8,
}
TANH = {"act_kwargs": {"approximate": "tanh"}}
DECODER = {"context_length": CONTEXT, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1, "attn_pooler_heads": 2}
POOLED = {**VIT, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
HALVES = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}


def model(text: dict[str, Any], vision: dict[str, Any] = VIT, **more: Any) -> dict[str, Any]:
    return {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text} | more


def timm(name: str, pool: str, proj: str | None, size: int) -> dict[str, Any]:
    return {"timm_model_name": name, "timm_pool": pool, "timm_proj": proj, "image_size": size}


MAPPED = timm("test_vit", "map", "none", 160)
QUICK: dict[str, dict[str, Any]] = {
    "CLIP ViT": model(OWN),
    "CLIP ResNet": model(OWN, {"layers": [1, 1, 1, 1], "width": 8, "patch_size": None, "image_size": 64}),
    "CustomTextCLIP": model(OWN, custom_text=True),
    "text without a causal mask (MobileCLIP-S)": model({**OWN, "no_causal_mask": True}, custom_text=True),
    "CoCa": model({**OWN, "embed_cls": True, "output_tokens": True}, POOLED, multimodal_cfg=DECODER, custom_text=True),
}
LONG: dict[str, dict[str, Any]] = {
    "quick GELU, layer scale": model({**OWN, "ls_init_value": 0.1}, quick_gelu=True),
    "SigLIP's texts": model(SIGLIP, custom_text=True, init_logit_bias=-10),
    "CLIPA": model(CLIPA, {**VIT, "no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True}),
    "worldwide": model({**OWN, "hf_tokenizer_name": "in the folder", "pool_type": "eos", "eos_id": 1}),
    "SigLIP": model(SIGLIP, MAPPED, custom_text=True, init_logit_bias=-10, embed_dim=64),
    "SigLIP2": model({**SIGLIP, **TANH}, MAPPED, custom_text=True, init_logit_bias=-10, embed_dim=64),
    "ConvNeXt": model(OWN, timm("test_convnext", "", "linear", 160)),
    "EVA": model(OWN, timm("eva02_tiny_patch14_224", "token", None, 224), custom_text=True),
    "MobileCLIP": model({**OWN, "no_causal_mask": True}, timm("fastvit_t8", "avg", None, 256), custom_text=True),
    "ViTamin's kind": model(OWN, timm("test_vit2", "avg", "linear", 64), custom_text=True),
}
TOWERS: dict[str, dict[str, Any]] = {
    "roberta": {"model_type": "roberta", "pad_token_id": 0, "max_position_embeddings": 514, "type_vocab_size": 1},
    "bert": {"model_type": "bert", "pad_token_id": 0, "max_position_embeddings": 128},
    "mt5": {"model_type": "mt5", "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2},
    "m2m_100": {"model_type": "m2m_100", "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "pad_token_id": 0,
                "encoder_attention_heads": 2, "encoder_ffn_dim": 64, "max_position_embeddings": 128},
}  # fmt: skip
"""Towers of transformers; of some the configuration says no number of places, of others far more than a text has."""
SIZES = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 64}


def long(names: Any) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.long) for name in names]


@pytest.mark.parametrize("family", [*QUICK, *long(LONG)])
def test_vectors_are_open_clips(family: str, tmp_path: Path) -> None:
    config = {**QUICK, **LONG}[family]
    if "hf_tokenizer_name" in config["text_cfg"]:
        write_tokeniser(tmp_path / "model")
    size = config["vision_cfg"]["image_size"]
    write_model(tmp_path / "model", config, {"size": size, **(HALVES if "SigLIP" in family else {})})
    check(tmp_path / "model", config["text_cfg"]["context_length"])


@pytest.mark.parametrize("tower", long(TOWERS))
def test_towers_of_transformers_have_the_context_of_their_tokeniser(tower: str, tmp_path: Path) -> None:
    write_tokeniser(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text(json.dumps({**SIZES, **TOWERS[tower]}))
    pooler = "cls_pooler" if tower == "m2m_100" else "mean_pooler"
    text = {"hf_model_name": str(tmp_path / "model"), "hf_tokenizer_name": "in the folder", "hf_pooler_type": pooler}
    write_model(tmp_path / "model", model({**text, "hf_proj_type": "linear"}), {"size": 32})
    encoder = check(tmp_path / "model", 77)
    assert encoder.info()["context_length"] == 77


@pytest.mark.long
def test_coca_over_a_tower_of_transformers(tmp_path: Path) -> None:
    write_tokeniser(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text(json.dumps({**SIZES, **TOWERS["roberta"]}))
    text = {"hf_model_name": str(tmp_path / "model"), "hf_tokenizer_name": "in the folder", "hf_proj_type": "linear",
            "output_tokens": True}  # fmt: skip
    config = model(text, {**VIT, "output_tokens": True}, multimodal_cfg={**DECODER, "width": 32}, custom_text=True)
    write_model(tmp_path / "model", config, {"size": 32})
    check(tmp_path / "model", 77)


def check(folder: Path, context: int) -> Any:
    """Texts of one token to more than the context, empty, of other letters, in batches of all sizes; and pictures."""
    import open_clip
    import torch

    name = f"local-dir:{folder}"
    theirs, transform = open_clip.create_model_from_pretrained(name)
    theirs, tokenise = theirs.eval(), open_clip.get_tokenizer(name)
    encoder = load_encoder(EncoderSpec(name, "fp32"), "cpu")
    texts = [" ".join(["dog"] * count) for count in range(1, context + 3)]
    texts += ["", "A red apple, on the Table!", "Caf\u00e9 \u65e5\u672c", "new york", "dog red dog", "a " * 200]
    with torch.inference_mode():
        expected = theirs.encode_text(tokenise(texts), normalize=True).numpy()
    shuffled = np.random.default_rng(0).permutation(len(texts))
    for per_pass in (0, 1, 3 * context):
        found = encoder.encode_texts([texts[row] for row in shuffled], per_pass)
        np.testing.assert_allclose(found, expected[shuffled], atol=2e-5)
    for row in (0, context // 2, len(texts) - 1):
        np.testing.assert_allclose(encoder.encode_texts([texts[row]])[0], expected[row], atol=2e-5)
    assert pickle.loads(pickle.dumps(encoder.tokenise))(texts).table.shape == encoder.tokenise(texts).table.shape
    noise = np.random.default_rng(1).integers(0, 256, (3, 50, 70, 3), dtype=np.uint8)
    pictures = [Image.fromarray(noise[0]), Image.fromarray(noise[1]).resize((300, 90)), Image.fromarray(noise[2])]
    with torch.inference_mode():
        of_pictures = theirs.encode_image(torch.stack([transform(one) for one in pictures]), normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_images(pictures), of_pictures, atol=1e-4)
    return encoder


@pytest.mark.parametrize("family", ["CLIP ViT", "CLIP ResNet", "CustomTextCLIP", *long(["ConvNeXt", "EVA"])])
def test_the_tree_of_beginnings_is_used_where_it_is_exact(family: str, tmp_path: Path) -> None:
    config = {**QUICK, **LONG}[family]
    write_model(tmp_path / "model", config, {"size": config["vision_cfg"]["image_size"]})
    assert causal_tower(load_model(f"local-dir:{tmp_path / 'model'}").model) is not None
    encoder = load_encoder(EncoderSpec(f"local-dir:{tmp_path / 'model'}", "fp32"), "cpu")
    encoder.encode_texts([f"a photo of a dog {number}" for number in range(10)])
    counted = encoder.stats().counters
    assert counted["token_states"] < counted["tokens"]  # beginnings that they share are computed once


@pytest.mark.parametrize(
    "family", ["text without a causal mask (MobileCLIP-S)", "CoCa", *long(["SigLIP's texts", "CLIPA"])]
)
def test_other_towers_get_their_whole_context(family: str, tmp_path: Path) -> None:
    """A query of SigLIP that is not padded is noise: its tower reads the padding, and pools behind it."""
    import torch

    config = {**QUICK, **LONG}[family]
    if "hf_tokenizer_name" in config["text_cfg"]:
        write_tokeniser(tmp_path / "model")
    write_model(tmp_path / "model", config, {"size": 32})
    encoder = load_encoder(EncoderSpec(f"local-dir:{tmp_path / 'model'}", "fp32"), "cpu")
    table = encoder.tokenise(["a dog"]).table
    assert table.shape == (1, config["text_cfg"]["context_length"])
    tower = load_model(f"local-dir:{tmp_path / 'model'}").model
    with torch.inference_mode():
        if config["text_cfg"].get("pool_type") == "last" and config.get("custom_text"):  # others refuse fewer tokens
            bare = tower.encode_text(torch.from_numpy(table[:, :3]), normalize=True).numpy()
            assert abs(float((bare @ encoder.encode_texts(["a dog"])[0])[0])) < 0.999


def test_what_needs_transformers_is_refused_where_they_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *given: None if name == "transformers" else real(name, *given)
    )
    with pytest.raises(ModelError, match=r"clip-spark\[hf\]"):
        check_model("ViT-B-16-SigLIP:webli")
    check_model("ViT-B-32:laion2b_s34b_b79k")
