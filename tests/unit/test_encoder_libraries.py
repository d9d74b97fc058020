"""What the encoders lean on in torch and open_clip without a promise: a new version that changes it fails here."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from clip_spark.encoders.int8 import INPUT_MAX, WEIGHT_MAX, Int8Linear
from clip_spark.encoders.libraries import TIMM, TRANSFORMERS
from clip_spark.encoders.names import libraries_of, parse_model


def test_onednns_product_of_integers_is_exact() -> None:
    import torch

    torch.manual_seed(0)
    linear = torch.nn.Linear(48, 16)
    rows = torch.randn(5, 48)
    with torch.inference_mode():
        found = Int8Linear(linear)(rows).numpy()
    weight, x = linear.weight.detach().numpy(), rows.numpy()
    weight_step = np.abs(weight).max(axis=1, keepdims=True) / np.float32(WEIGHT_MAX)
    x_step = np.abs(x).max(axis=1, keepdims=True) / np.float32(INPUT_MAX)
    product = np.rint(x / x_step).astype(np.int64) @ np.rint(weight / weight_step).astype(np.int64).T
    expected = product * x_step * weight_step.T + linear.bias.detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_operators_take_what_they_are_given() -> None:
    import torch

    named = {argument.name for argument in torch.ops.onednn.qlinear_pointwise.default._schema.arguments}
    assert {"qx", "x_scale", "x_zero_point", "qw", "w_scale", "w_zero_point", "output_scale", "post_op_name"} <= named
    assert torch.ops.onednn.qlinear_prepack.default


def test_open_clips_own_tokeniser_and_tower_are_recognised() -> None:
    import open_clip

    from clip_spark.encoders.loading import load_model
    from clip_spark.encoders.text_tower import causal_tower
    from clip_spark.encoders.tokens import BulkTokeniser

    assert BulkTokeniser.fits(open_clip.get_tokenizer("ViT-B-32"))  # else texts take the slow way in silence
    assert causal_tower(load_model("demo").model) is not None


def test_capabilities_are_there() -> None:
    import torch

    assert "architecture" in torch.cpu.get_capabilities()


def test_open_clip_comes_without_the_compiler_timm_and_transformers_until_they_are_needed() -> None:
    code = """
import sys
from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.encoders.libraries import load_open_clip
load_encoder(EncoderSpec("demo", "fp32"), "cpu").encode_texts(["dog"])
assert not {"torch._dynamo", "sympy", "timm", "transformers"} & set(sys.modules)
import torch
from torchvision.ops.roi_align import is_compile_supported
assert is_compile_supported("cpu") in (True, False) and "symbolic_convert" in dir(sys.modules["torch._dynamo"])
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item() == 2
text = dict(context_length=8, vocab_size=99, width=32, heads=2, layers=1)
vision = dict(timm_model_name="resnet10t", timm_pool="avg", timm_proj="linear", image_size=32)
make = load_open_clip().model.CLIP
try:
    make(embed_dim=8, vision_cfg=vision, text_cfg=text)
except RuntimeError:
    load_open_clip("timm")
model = make(embed_dim=8, vision_cfg=vision, text_cfg=text).eval()
assert model.encode_image(torch.zeros(1, 3, 32, 32)).shape == (1, 8)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_which_models_have_towers_of_other_libraries() -> None:
    assert libraries_of(parse_model("ViT-B-16-SigLIP:webli")) == [TIMM]
    assert libraries_of(parse_model("roberta-ViT-B-32:laion2b_s12b_b32k")) == [TRANSFORMERS]
    assert libraries_of(parse_model("ViT-B-32:openai")) == libraries_of(parse_model("demo")) == []
