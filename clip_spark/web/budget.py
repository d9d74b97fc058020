"""*Server.* How long a request may be worked on: work that goes through many records asks in between."""

from __future__ import annotations

import time
from contextvars import ContextVar

from clip_spark.errors import ClipSparkError

SECONDS = 20.0

_end: ContextVar[float] = ContextVar("_end", default=float("inf"))


class TooSlow(ClipSparkError):
    """A request takes longer than one may."""


def start_budget(seconds: float = SECONDS) -> None:
    """*Server.* From now on this request, and the threads that work for it, has so many seconds."""
    _end.set(time.monotonic() + seconds)


def check_budget() -> None:
    """*Server.* Raise TooSlow if the request has had its time."""
    if time.monotonic() > _end.get():
        raise TooSlow("This request takes too long; ask for fewer hits or records at once.")
