"""*Pure.* float16 numbers of files as float32, several times as fast as numpy does it, which takes them one by one."""

from __future__ import annotations

import numpy as np

SIGN_AND_NUMBER = np.array(0x8FFFE000, np.uint32).view(np.int32)
FRACTION_BITS = 23 - 10
"""More of the fraction in a float32 than in a float16 (IEEE 754-2008, table 3.5)."""
EXPONENTS_APART = np.float32(2.0 ** (127 - 15))
"""Exponents are kept with 127 added in a float32, with 15 in a float16 (the same table)."""


def as_float32(halves: np.ndarray) -> np.ndarray:
    """*Pure.* The same numbers, exactly, small ones below the normal range too.

    Moved to its place in a float32 the number is read with the wrong exponent, which one product mends.

    Args:
        halves: float16 of any shape, finite (neither stored vectors nor penalties are anything else).

    Returns:
        float32 of the same shape, an array of its own.
    """
    bits = halves.view(np.int16).astype(np.int32)  # the sign fills all bits above
    bits <<= FRACTION_BITS
    bits &= SIGN_AND_NUMBER
    numbers: np.ndarray = bits.view(np.float32)
    numbers *= EXPONENTS_APART
    return numbers
