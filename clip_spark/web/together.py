"""*Server.* Queries of several requests in one forward pass or one search, which cost hardly more than those of one.

Nobody waits for company: what comes while a pass runs goes into the next one, all of it. So a lone request is encoded
at once, and the busier the server, the larger its passes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

MOST = 32
"""Queries of one pass; more would make all of them wait for the last."""

Answer = Callable[[Any], Sequence[Any]]
Join = Callable[[Sequence[Any]], Any]


class _Query:
    """One query: what answers it, and its answer or what went wrong, once that is known."""

    def __init__(self, answer: Answer, join: Join, item: Any) -> None:
        self.answer, self.join, self.item = answer, join, item
        self.found: Any = None
        self.error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.found is not None or self.error is not None


class Together:
    """One pass at a time, for torch and Faiss use all cores for it; safe to use from many threads.

    Args:
        most: queries of one pass.

    Attributes:
        passes: how many there were.
    """

    def __init__(self, most: int = MOST) -> None:
        self._waiting: deque[_Query] = deque()
        self._lock, self._passing = threading.Lock(), threading.Lock()
        self._most, self.passes = most, 0

    def __call__(self, answer: Answer, item: Any, join: Join = list) -> Any:
        """The answer to one query, which may be a view of those of its pass; raises what `answer` raises.

        Args:
            answer: from n joined queries to n answers; queries with the same one share passes.
            item: the query.
            join: makes n queries one argument for `answer`.
        """
        query = _Query(answer, join, item)
        with self._lock:
            self._waiting.append(query)
        with self._passing:
            while not query.done:
                self._pass(self._next())
        if query.found is None:
            raise query.error or RuntimeError("A query was not answered.")
        return query.found

    def _next(self) -> list[_Query]:
        """The oldest query, and others that are answered alike, in their order."""
        with self._lock:
            first = self._waiting[0]
            chosen = [one for one in self._waiting if one.answer == first.answer][: self._most]
            for one in chosen:
                self._waiting.remove(one)
        return chosen

    def _pass(self, queries: list[_Query]) -> None:
        self.passes += 1
        try:
            answers = queries[0].answer(queries[0].join([one.item for one in queries]))
            for one, found in zip(queries, answers, strict=True):
                one.found = found
        except Exception as error:  # noqa: BLE001 - handed to the request, whatever it is
            if len(queries) == 1:
                queries[0].error = error
                return
            for one in queries:  # what is wrong with one of them is not the others' fault
                self._pass([one])
