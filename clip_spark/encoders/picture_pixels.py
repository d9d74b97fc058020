"""*Worker.* Pictures to model input: the geometry of the model's own open_clip transform, the arithmetic in batches.

open_clip's transform resizes, crops, converts to RGB, divides by 255 and normalises each picture by itself. Here each
picture keeps 8-bit pixels (a quarter of the bytes on the way to the device), and the arithmetic is done per batch: the
same pixels, to the bit. Only of very long pictures the part inside the crop alone is computed (a few grey levels of 255
from open_clip's, for Pillow orders its two passes by the size of the result): a picture of 1 x 10,000 pixels costs as
much as any other, where open_clip would first blow it up to 224 x 2,240,000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clip_spark.encoders.protocol import Pixels
from clip_spark.pictures.decode import as_seen, decode
from clip_spark.pictures.look import AS_STORED, Look

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

LONG = 4
"""Pictures more than so many times as long as wide are not resized as a whole."""
FAST_OVERSIZE = 2
"""The fast decoder leaves at least twice the model's size for the exact resize."""


class PicturePreparer:
    """One model's preprocessing, split where pixels stop being 8-bit integers; safe to call from many threads.

    Args:
        transform: open_clip's, for one PIL picture.
        look: orientation and background; as open_clip's transform sees it is `AS_STORED`.
    """

    def __init__(self, transform: Any, look: Look = AS_STORED) -> None:
        import torch

        *self._geometry, _to_tensor, normalise = transform.transforms
        self._look = look
        self._size = plain_size(self._geometry)
        self._mean = torch.tensor(normalise.mean).view(1, 3, 1, 1)
        self._std = torch.tensor(normalise.std).view(1, 3, 1, 1)

    def __call__(self, picture: Image | bytes, fast: bool = False) -> Pixels:
        """One picture, ready for the model; raises Rejected if the bytes are no usable picture.

        Args:
            picture: the bytes of a file, or what Pillow made of them.
            fast: decode large JPEGs at a fraction of their size (libjpeg's scaled decode); not exact.
        """
        if isinstance(picture, bytes):
            found = decode(picture, self._look, FAST_OVERSIZE * self._size if fast else 0)
            return Pixels(self._fitted(found.image), found.size, found.notices)
        image, notices = as_seen(picture, self._look)
        return Pixels(self._fitted(image), picture.size, notices)

    def _fitted(self, image: Image) -> np.ndarray:
        """Resized, cropped and converted: uint8 (height, width, 3)."""
        if self._size and max(image.size) > LONG * min(image.size):
            return np.asarray(resize_and_crop(image, self._size).convert("RGB"))
        for step in self._geometry:
            image = step(image)
        return np.asarray(image)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 (n, height, width, 3) to the model's float32 (n, 3, height, width), on the device of `pixels`."""
        values = pixels.permute(0, 3, 1, 2).float().div_(255)
        return values.sub_(self._mean.to(values.device)).div_(self._std.to(values.device))


def plain_size(geometry: list[Any]) -> int:
    """*Worker.* The side in pixels if the geometry is: shortest side, bicubic, square centre crop; else 0."""
    from torchvision.transforms import CenterCrop, InterpolationMode, Resize

    kinds = [type(step) for step in geometry]
    if kinds[:2] != [Resize, CenterCrop] or len(kinds) != 3:
        return 0
    resize, crop, _to_rgb = geometry
    plain = isinstance(resize.size, int) and resize.max_size is None and tuple(crop.size) == (resize.size, resize.size)
    return resize.size if plain and resize.interpolation == InterpolationMode.BICUBIC else 0


def resize_and_crop(image: Image, size: int) -> Image:
    """*Worker.* torchvision's Resize(size) and CenterCrop(size) in one step: the part inside the crop only."""
    from PIL.Image import Resampling

    width, height = image.size
    short, long = sorted((width, height))
    scaled = int(size * long / short)  # torchvision's own rounding
    new_width, new_height = (scaled, size) if width > height else (size, scaled)
    left, top = round((new_width - size) / 2.0), round((new_height - size) / 2.0)
    across, down = width / new_width, height / new_height
    box = (left * across, top * down, (left + size) * across, (top + size) * down)
    return image.resize((size, size), Resampling.BICUBIC, box=box)
