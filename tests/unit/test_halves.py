"""float16 becomes float32 bit by bit as numpy has it."""

from __future__ import annotations

import numpy as np

from clip_spark.index.files.halves import as_float32


def test_every_finite_number_is_numpys() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    np.testing.assert_array_equal(as_float32(finite).view(np.uint32), finite.astype(np.float32).view(np.uint32))


def test_what_is_given_stays_as_it_is_in_any_shape() -> None:
    halves = np.arange(24, dtype=np.float16).reshape(2, 3, 4)[:, 1:, ::2]
    found = as_float32(halves)
    found += 1
    assert halves[0, 0, 0] == 4 and found[0, 0, 0] == 5 and found.shape == (2, 2, 2)


def test_no_numbers_are_none() -> None:
    assert as_float32(np.empty((0, 8), np.float16)).shape == (0, 8)
