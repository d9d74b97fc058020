"""What the encoders lean on in torch and open_clip without a promise: a new version that changes it fails here."""

from __future__ import annotations

import numpy as np

from clip_spark.encoders.int8 import INPUT_MAX, WEIGHT_MAX, Int8Linear


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


def test_autocast_and_capabilities_are_there() -> None:
    import torch

    assert "architecture" in torch.cpu.get_capabilities()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.float16):
        assert torch.nn.functional.linear(torch.ones(2, 3), torch.ones(4, 3)).dtype == torch.float16
