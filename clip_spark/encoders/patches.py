"""*Worker.* The first layer of a vision transformer as one product, for GPUs.

It is a convolution whose windows do not overlap. cuDNN has no quick kernel for three channels: of a pass of ViT-B-32
over 1,024 pictures it took 19 % (docs/gpu.md), where a product of the same numbers takes 1 %.
"""

from __future__ import annotations

from typing import Any


def patches_as_products(visual: Any) -> None:
    """*Worker.* Replace each convolution of a tower over separate patches of pixels by a `PatchProduct`."""
    import torch

    for parent in list(visual.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, torch.nn.Conv2d) and is_separate(layer):
                setattr(parent, name, patch_product(layer))


def is_separate(layer: Any) -> bool:
    """*Pure.* True for a convolution of pixels (three channels) whose square windows touch and do not overlap."""
    plain = layer.padding in ((0, 0), "valid") and layer.dilation == (1, 1) and layer.groups == 1
    side = layer.kernel_size[0]
    return bool(plain and layer.in_channels == 3 and layer.kernel_size == layer.stride == (side, side))


def patch_product(layer: Any) -> Any:
    """*Worker.* A module that computes what a separate convolution does, with its weights and under their names.

    It takes (n, 3, height, width), sides that are multiples of the patch's, and gives (n, out, rows, columns).
    """
    import torch

    class PatchProduct(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias, self.side = layer.weight, layer.bias, layer.kernel_size[0]

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            n, channels, height, width = pixels.shape
            side, rows, columns = self.side, height // self.side, width // self.side
            parts = pixels[:, :, : rows * side, : columns * side].reshape(n, channels, rows, side, columns, side)
            patches = parts.permute(0, 2, 4, 1, 3, 5).reshape(n, rows, columns, channels * side * side)
            made = torch.nn.functional.linear(patches, self.weight.flatten(1), self.bias)
            return made.permute(0, 3, 1, 2)

    return PatchProduct()
