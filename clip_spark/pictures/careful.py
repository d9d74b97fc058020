"""*Worker.* Work on bytes that may be hostile, in child processes with limits of time and memory, few at once."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from clip_spark.runtime.child_process import Apart, Limits

In = TypeVar("In")
Out = TypeVar("Out")

LIMITS = Limits(seconds=20, memory_bytes=3 << 30, most_deadly=float("inf"))
"""The largest picture that is allowed takes 4 s and 2.4 GB in the slowest decoder; a server may meet many bad ones."""
_started: list[Apart[Any, Any]] = []
_places = threading.BoundedSemaphore(max(1, min(4, (os.cpu_count() or 1) // 2)))


def call(function: Callable[[In], Out], item: In) -> Out:
    """*Worker.* What a picklable function gives for an item; may be called from many threads.

    A process that is a child already works itself: whoever made it looks after it.

    Raises:
        Rejected: it ends its process twice, or takes too long.
    """
    if multiprocessing.current_process().daemon:
        return function(item)
    with _places:
        return _children(function, os.getpid())(item)


@lru_cache(8)
def _children(function: Callable[[In], Out], process: int) -> Apart[In, Out]:
    """Of this process; a fork begins with none. They wait for the next picture until the process ends."""
    children = Apart(function, LIMITS)
    _started.append(children)
    return children


@atexit.register
def close() -> None:
    """*Worker.* End all children; the next call starts new ones."""
    _children.cache_clear()
    while _started:
        _started.pop().__exit__()
