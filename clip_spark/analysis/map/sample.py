"""*Pure.* Which rows a map is fitted on: those with the smallest hashes, however rows lie in files and partitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

SPARE = 6.0
"""Standard deviations by which more rows are taken at first than are wanted: too few come once in a billion times."""


def hashes(ids: Any, seed: int) -> np.ndarray:
    """*Pure.* For each record id (Arrow array of n texts) a number that a seed decides, uniform in [0, 1), float64."""
    from pandas.util import hash_array

    names = np.asarray(pa.array(ids).to_numpy(zero_copy_only=False), dtype=object)
    # 53 bits: the next float below 1 is the largest.
    return (hash_array(names, hash_key=f"{seed:016x}"[:16], categorize=False) >> np.uint64(11)) * 2.0**-53


def share_to_take(rows: int, wanted: int) -> float:
    """*Pure.* Rows whose hash lies below this are enough to find the `wanted` smallest among all `rows`."""
    return min(1.0, (wanted + SPARE * wanted**0.5 + SPARE) / rows) if rows else 1.0


def smallest(found: np.ndarray, ids: list[str], wanted: int) -> np.ndarray:
    """*Pure.* Rows (int64) of the `wanted` smallest hashes, in their order; ids decide between equals."""
    return np.lexsort((np.asarray(ids, dtype=object).astype(str), found))[:wanted]
