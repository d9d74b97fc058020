"""*Pure.* The latest values by key, so many of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Latest(Generic[K, V]):
    """Keeps what was used last; safe to use from many threads."""

    def __init__(self, most: int) -> None:
        self._most, self._values = most, OrderedDict[K, V]()
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """The value of a key, which is the latest now; None where it is not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep a value; the one that was not used for longest goes."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
