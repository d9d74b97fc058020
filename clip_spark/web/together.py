"""*Server.* Queries of several requests in one forward pass or one search, in a thread of their own.

Nobody waits for company: what comes while a pass runs goes into the next one, all of it. So a lone request is encoded
at once, and the busier the server, the larger its passes. A pass wakes the event loop once, however many it answers.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

MOST = 32
"""Queries of one pass; more would make all of them wait for the last."""

Answer = Callable[[Any], Sequence[Any]]
Join = Callable[[Sequence[Any]], Any]


class _Query:
    """One query: what answers it, and its answer or what went wrong, once that is known.

    Attributes:
        loop: of the coroutine that waits for it; None where a thread does.
    """

    def __init__(self, answer: Answer, join: Join, item: Any, loop: asyncio.AbstractEventLoop | None) -> None:
        self.answer, self.join, self.item, self.loop = answer, join, item, loop
        self.future: Any = Future() if loop is None else loop.create_future()
        self.found: Any = None
        self.error: Exception | None = None

    def settle(self) -> None:
        """Hand over what was found; where the client has gone away, nobody waits for it any more."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.found)


class Together:
    """One pass at a time, for torch and Faiss use all cores for it; safe to use from many threads and event loops.

    Args:
        most: queries of one pass.
        prepare: called in the thread of the passes before the first one.

    Attributes:
        passes: how many there were.
    """

    def __init__(self, most: int = MOST, prepare: Callable[[], None] | None = None) -> None:
        self._waiting: deque[_Query] = deque()
        self._lock, self._working = threading.Lock(), False
        self._thread = ThreadPoolExecutor(1, "passes", prepare)
        self._most, self.passes = most, 0

    def __call__(self, answer: Answer, item: Any, join: Join = list) -> Any:
        """The answer to one query, which may be a view of those of its pass; raises what `answer` raises.

        Args:
            answer: from n joined queries to n answers; queries with the same one share passes.
            item: the query.
            join: makes n queries one argument for `answer`.
        """
        return self._add(_Query(answer, join, item, None)).result()

    async def soon(self, answer: Answer, item: Any, join: Join = list) -> Any:
        """The same for the event loop, which does other things meanwhile."""
        return await self._add(_Query(answer, join, item, asyncio.get_running_loop()))

    def _add(self, query: _Query) -> Any:
        with self._lock:
            self._waiting.append(query)
            idle, self._working = not self._working, True
        if idle:
            self._thread.submit(self._work)
        return query.future

    def _work(self) -> None:
        while queries := self._next():
            self.passes += 1
            self._pass(queries)
            _settle(queries)

    def _next(self) -> list[_Query]:
        """The oldest query, and others that are answered alike, in their order; empty where none waits."""
        with self._lock:
            if not self._waiting:
                self._working = False
                return []
            first = self._waiting[0]
            chosen = [one for one in self._waiting if one.answer == first.answer][: self._most]
            for one in chosen:
                self._waiting.remove(one)
        return chosen

    def _pass(self, queries: list[_Query]) -> None:
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


def _settle(queries: Sequence[_Query]) -> None:
    """Wake all that wait for these queries, an event loop once for all of its own."""
    for one in queries:
        if one.loop is None:
            one.settle()
    for loop in {one.loop for one in queries if one.loop is not None}:
        with suppress(RuntimeError):  # it has ended
            loop.call_soon_threadsafe(_settle_in, loop, queries)


def _settle_in(loop: asyncio.AbstractEventLoop, queries: Sequence[_Query]) -> None:
    for one in queries:
        if one.loop is loop:
            one.settle()
