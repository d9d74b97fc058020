"""*Server.* Queries of several requests in one forward pass, which costs hardly more than that of one.

Nobody waits for company: what comes while a pass runs goes into the next one, all of it. So a lone request is encoded
at once, and the busier the server, the larger its passes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

MOST = 32
"""Queries of one pass; more would make all of them wait for the last."""

Encode = Callable[[Any], np.ndarray]
Join = Callable[[Sequence[Any]], Any]


class _Query:
    """One query: how it is encoded, and its vector or what went wrong, once that is known."""

    def __init__(self, encode: Encode, join: Join, item: Any) -> None:
        self.encode, self.join, self.item = encode, join, item
        self.vector: np.ndarray | None = None
        self.error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.vector is not None or self.error is not None


class Together:
    """One pass at a time, for torch uses all cores for it; safe to use from many threads.

    Attributes:
        passes: how many there were.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Query] = deque()
        self._lock, self._passing = threading.Lock(), threading.Lock()
        self.passes = 0

    def __call__(self, encode: Encode, item: Any, join: Join = list) -> np.ndarray:
        """The vector of one query, float32 (d,), a copy of its own; raises what `encode` raises.

        Args:
            encode: what makes n joined queries to float32 (n, d); queries with the same one share passes.
            item: the query.
            join: makes n queries one argument for `encode`.
        """
        query = _Query(encode, join, item)
        with self._lock:
            self._waiting.append(query)
        with self._passing:
            while not query.done:
                self._pass(self._next())
        if query.vector is None:
            raise query.error or RuntimeError("A query was not encoded.")
        return query.vector

    def _next(self) -> list[_Query]:
        """The oldest query, and others that are encoded alike, in their order."""
        with self._lock:
            first = self._waiting[0]
            chosen = [one for one in self._waiting if one.encode == first.encode][:MOST]
            for one in chosen:
                self._waiting.remove(one)
        return chosen

    def _pass(self, queries: list[_Query]) -> None:
        self.passes += 1
        try:
            vectors = queries[0].encode(queries[0].join([one.item for one in queries]))
            for one, vector in zip(queries, vectors, strict=True):
                one.vector = np.array(vector)
        except Exception as error:  # noqa: BLE001 - handed to the request, whatever it is
            if len(queries) == 1:
                queries[0].error = error
                return
            for one in queries:  # what is wrong with one of them is not the others' fault
                self._pass([one])
