"""Patches of pixels as one product: what the convolution computes, under the same names of weights."""

from __future__ import annotations

import pytest
import torch

from clip_spark.encoders.loading import load_model
from clip_spark.encoders.patches import is_separate, patch_product, patches_as_products


@pytest.mark.parametrize(("side", "bias", "shape"), [(4, True, (8, 12)), (16, False, (32, 32)), (7, True, (16, 23))])
def test_a_product_is_the_convolution(side: int, bias: bool, shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 5, side, stride=side, bias=bias)
    product = patch_product(layer)
    assert set(product.state_dict()) == set(layer.state_dict())
    for order in (torch.contiguous_format, torch.channels_last):
        pixels = torch.randn(2, 3, *shape).contiguous(memory_format=order)
        torch.testing.assert_close(product(pixels), layer(pixels))


@pytest.mark.parametrize(
    "layer",
    [
        torch.nn.Conv2d(3, 5, 4, stride=2),
        torch.nn.Conv2d(4, 5, 4, stride=4),
        torch.nn.Conv2d(3, 5, 4, stride=4, padding=1),
        torch.nn.Conv2d(3, 5, (4, 2), stride=(4, 2)),
        torch.nn.Conv2d(3, 6, 2, stride=2, groups=3),
    ],
)
def test_other_convolutions_stay(layer: torch.nn.Conv2d) -> None:
    assert not is_separate(layer)


def test_a_vision_transformer_gives_the_same_vectors() -> None:
    import open_clip

    settings = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32}
    text = {"context_length": 8, "vocab_size": 99, "width": 32, "heads": 2, "layers": 1}
    model = open_clip.CLIP(16, open_clip.CLIPVisionCfg(**settings), open_clip.CLIPTextCfg(**text)).eval()
    pixels = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        before = model.encode_image(pixels)
        patches_as_products(model.visual)
        assert not any(isinstance(layer, torch.nn.Conv2d) for layer in model.visual.modules())
        torch.testing.assert_close(model.encode_image(pixels), before)


def test_a_tower_of_convolutions_is_left_alone() -> None:
    visual = load_model("demo").model.visual
    kinds = [type(layer) for layer in visual.modules()]
    patches_as_products(visual)
    assert [type(layer) for layer in visual.modules()] == kinds
