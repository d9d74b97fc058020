"""*Worker.* Memory that is free in this process, given back to the machine.

A task fills some hundred MB and is done; glibc and Arrow keep the pages for the next one. All workers of a machine
together then hold what only some of them use.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import pyarrow as pa


def give_back() -> None:
    """*Worker.* Takes a few milliseconds."""
    pa.default_memory_pool().release_unused()
    if (trim := _malloc_trim()) is not None:
        trim(0)


@lru_cache(1)
def _malloc_trim() -> Any:
    """*Worker.* glibc's malloc_trim(3), or None where the C library is another."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
