"""*Anywhere.* What work leaves behind in its process, made small: garbage to look through, and memory that is free."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from clip_spark.runtime.row_counts import tell_rows


def tidy() -> None:
    """*Worker.* To be called at the end of a task; takes some milliseconds.

    Spark collects garbage after each task, before the next one may begin: 0.04 seconds to look through what numpy,
    Arrow and polars keep, 0.2 with torch and a model. What is alive now is frozen, so that nobody looks at it again.
    """
    gc.collect()
    gc.freeze()
    give_back()


def give_back() -> None:
    """*Anywhere.* Return memory that is free to the system.

    A task fills some hundred MB and is done; glibc and Arrow would keep the pages for the next one, and all processes
    of a machine together hold what only some of them use.
    """
    pa.default_memory_pool().release_unused()
    if (trim := _malloc_trim()) is not None:
        trim(0)


@dataclass(frozen=True)
class Tidied:
    """*Worker.* A task's generator function that tidies at its end, when what its frame held is gone; picklable."""

    function: Callable[..., Iterator[Any]]

    def __call__(self, *arguments: Any) -> Iterator[Any]:
        """What the function yields."""
        yield from self.function(*arguments)
        tell_rows()
        tidy()


@lru_cache(1)
def _malloc_trim() -> Any:
    """*Worker.* glibc's malloc_trim(3), or None where the C library is another."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
