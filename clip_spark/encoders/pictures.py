"""*Worker.* Pictures to model input: the geometry of the model's own open_clip transform, the arithmetic in batches.

open_clip's transform resizes, crops, converts to RGB, divides by 255 and normalises each picture by itself. Here each
picture keeps 8-bit pixels (a quarter of the bytes on the way to the device), and the arithmetic is done per batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clip_spark.images.decode import open_picture

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


class PicturePreparer:
    """One model's preprocessing, split where pixels stop being 8-bit integers; safe to call from many threads."""

    def __init__(self, transform: Any) -> None:
        import torch

        *self._geometry, _to_tensor, normalise = transform.transforms
        self._mean = torch.tensor(normalise.mean).view(1, 3, 1, 1)
        self._std = torch.tensor(normalise.std).view(1, 3, 1, 1)

    def __call__(self, picture: Image | bytes) -> np.ndarray:
        """uint8 (height, width, 3) of one picture; raises Rejected if the bytes are no usable picture."""
        return self.with_size(picture)[0]

    def with_size(self, picture: Image | bytes) -> tuple[np.ndarray, tuple[int, int]]:
        """The same, and (width, height) of the picture as it is stored, in pixels."""
        image = open_picture(picture) if isinstance(picture, bytes) else picture
        size = image.size
        for step in self._geometry:
            image = step(image)
        return np.asarray(image), size

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 (n, height, width, 3) to the model's float32 (n, 3, height, width), on the device of `pixels`."""
        values = pixels.permute(0, 3, 1, 2).float().div_(255)
        return values.sub_(self._mean.to(values.device)).div_(self._std.to(values.device))
