"""*Pure.* PDQ, a hash of what a picture shows: 256 bits, of which near copies differ in few.

As in "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm" (Facebook, 2019), section 2, and in
github.com/facebook/ThreatExchange/tree/main/pdq: luminance, two passes of a box filter, 64 x 64 samples, the 16 x 16
lowest frequencies of their cosine transform without the constant one, and a bit for each that is above the median.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE, FREQUENCIES = 64, 16
SHORT_SIDE = 256
"""Pixels that all pictures are scaled to first: the filter moves what it sees by a part of a pixel, of any size."""
BITS = FREQUENCIES * FREQUENCIES
MOST_SIDE = 1024
"""Pixels of the longer side at most: a comic strip is squeezed."""
LEAST_QUALITY = 50
"""Of 100: below it a picture shows too little to be told from others, and PDQ's authors advise to take no hash."""
NEAR = 31
"""Bits in which copies of one picture differ at most, as PDQ's authors advise."""
LOW = 8
"""Frequencies of each direction in `low_bits`."""
ONES = np.array([number.bit_count() for number in range(1 << 16)], np.uint8)


def pdq(image: Image) -> str | None:
    """*Pure.* 64 hex digits, as lists of such hashes have them; None where a picture shows too little."""
    small = _samples(image)
    if _quality(small) < LEAST_QUALITY:
        return None
    found = _cosines() @ small @ _cosines().T
    bits = (found > np.partition(found, BITS // 2 - 1, axis=None)[BITS // 2 - 1]).ravel()  # the lower of two medians
    return np.packbits(bits[::-1]).tobytes().hex()


def _samples(image: Image) -> np.ndarray:
    """Luminance at 64 x 64 places, float32."""
    from PIL.Image import Resampling

    scale = SHORT_SIDE / min(image.size)
    width, height = (min(MOST_SIDE, round(side * scale)) for side in image.size)
    image = image if image.size == (width, height) else image.resize((width, height), Resampling.BICUBIC)
    luma = np.asarray(image.convert("RGB").convert("F"))
    return _window(luma.shape[0]) @ luma @ _window(luma.shape[1]).T


@lru_cache(maxsize=64)
def _window(length: int) -> np.ndarray:
    """Two passes of the box filter, cut off at the edges, over one line, at the 64 places: float32 (64, length)."""
    width = (length + 2 * SIDE - 1) // (2 * SIDE)
    ends = np.arange(length) + (width + 2) // 2
    box = np.zeros((length, length))
    for place, end in enumerate(ends):
        box[place, max(0, end - width) : end] = 1
    box /= box.sum(axis=1, keepdims=True)
    places = ((np.arange(SIDE) + 0.5) * length / SIDE).astype(int)
    return (box[places] @ box).astype(np.float32)


def _quality(samples: np.ndarray) -> int:
    """0 to 100: how much neighbours differ."""
    steps = [np.trunc(np.diff(samples, axis=axis) * 100 / 255) for axis in (0, 1)]
    return min(100, int(sum(np.abs(step).sum() for step in steps) / 90))


@lru_cache(maxsize=1)
def _cosines() -> np.ndarray:
    frequency, place = np.arange(1, FREQUENCIES + 1)[:, None], np.arange(SIDE)[None, :]
    return np.sqrt(2 / SIDE) * np.cos(np.pi / 2 / SIDE * frequency * (2 * place + 1))


def low_bits(digest: str) -> bytes:
    """*Pure.* The 64 bits of a hash that stand for its 8 x 8 lowest frequencies: those that change least in copies."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(digest), np.uint8))[::-1].reshape(FREQUENCIES, FREQUENCIES)
    return np.packbits(bits[:LOW, :LOW]).tobytes()


def as_numbers(digests: list[str]) -> np.ndarray:
    """*Pure.* Hashes as uint16 (n, 16), for `distances`."""
    return np.frombuffer(bytes.fromhex("".join(digests)), np.uint16).reshape(len(digests), BITS // 16)


def distances(numbers: np.ndarray, digest: str) -> np.ndarray:
    """*Pure.* In how many bits each of n hashes differs from another one, int (n,)."""
    return ONES[numbers ^ as_numbers([digest])].sum(axis=1, dtype=np.int64)
