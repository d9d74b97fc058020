"""*Worker.* Pictures of more than 8 bits per channel to 8 bits, scaled by what they hold.

open_clip's conversion would clip them to a white picture. A 16-bit file often holds the 12 bits of a camera or a
microscope: scaled by 65,535 it would be black.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

BITS = (8, 10, 12, 14, 16, 24, 32)
"""Depths that devices have; the highest value tells which."""


def to_8_bits(image: Image) -> Image:
    """*Worker.* Grey pictures of integers or floats as 8-bit greys; all others unchanged."""
    if not image.mode.startswith(("I", "F")):
        return image
    from PIL import Image as Pillow

    values = np.nan_to_num(np.asarray(image).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    scaled = values * (255 / white(float(values.max(initial=0.0)), image.mode == "F"))
    grey = Pillow.fromarray(scaled.clip(0, 255).astype(np.uint8))
    grey.info = {name: image.info[name] for name in ("exif",) if name in image.info}
    return grey


def white(highest: float, is_float: bool) -> float:
    """*Pure.* The value that is white, given the highest one: 1.0 of floats up to 1, else all ones of a bit depth."""
    if is_float and highest <= 1:
        return 1.0
    return next((2.0**bits - 1 for bits in BITS if highest <= 2**bits - 1), max(highest, 1.0))
