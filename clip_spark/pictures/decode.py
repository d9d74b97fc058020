"""*Worker.* Bytes to a loaded picture, or Rejected with a reason; never a hang, never a crash of the task."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

from clip_spark.errors import Rejected

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_BYTES = 256 << 20
MOST_PIXELS = 100_000_000
"""Larger pictures are bombs or scans: decoded they take 300 MB and seconds each."""


def open_picture(data: bytes) -> Image:
    """*Worker.* The decoded picture (first frame of an animation), in its own mode; raises Rejected."""
    return open_with_size(data)[0]


def open_with_size(data: bytes, at_least: int = 0) -> tuple[Image, tuple[int, int]]:
    """*Worker.* The decoded picture (first frame of an animation), in its own mode, and its stored (width, height).

    Args:
        data: the encoded bytes.
        at_least: if not 0, a JPEG may be decoded at 1/2, 1/4 or 1/8 as long as both sides keep so many pixels.

    EXIF rotation is ignored, as open_clip's own pipeline does. 16-bit greys are scaled to 8 bits: open_clip's
    conversion would clip them to a white picture.

    Raises:
        Rejected: empty, not a picture, truncated, or too large.
    """
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise Rejected("empty", "the file has no bytes")
    if len(data) > MOST_BYTES:
        raise Rejected("too many bytes", f"{len(data):,} bytes; at most {MOST_BYTES:,} are decoded")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own bomb warning: our limit is checked below
            image = Image.open(io.BytesIO(data))
            size = image.size
            check_size(*size)
            if at_least:
                image.draft(None, (at_least, at_least))
            image.load()
    except UnidentifiedImageError as error:
        raise Rejected("not a picture", "no known picture format") from error
    except Image.DecompressionBombError as error:
        raise Rejected("too many pixels", str(error)) from error
    except Rejected:
        raise
    except Exception as error:
        raise Rejected("damaged", f"{type(error).__name__}: {error}") from error
    return _to_8_bits(image) if image.mode.startswith("I") else image, size


def check_size(width: int, height: int) -> None:
    """*Pure.* Raise Rejected for a picture that has no pixels or too many."""
    if width < 1 or height < 1:
        raise Rejected("empty", f"{width} x {height} pixels")
    if width * height > MOST_PIXELS:
        raise Rejected("too many pixels", f"{width} x {height} pixels; at most {MOST_PIXELS:,} are decoded")


def _to_8_bits(image: Image) -> Image:
    import numpy as np
    from PIL import Image as Pillow

    values = np.asarray(image).clip(0, 65535)
    return Pillow.fromarray((values >> 8).astype(np.uint8))
