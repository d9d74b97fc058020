"""*Worker.* A function in child processes: a record that kills the process is then known, and only it is lost.

A native library that crashes, or a record that takes all memory, ends the whole Python process of a task; Spark
retries the shard and it dies again. So from a shard's second attempt on, what depends on a record's own bytes (decoding
a picture, splitting a text) is done here. The first attempt knows nothing of this and costs nothing.
"""

from __future__ import annotations

import multiprocessing
import resource
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from clip_spark.errors import ClipSparkError, Rejected
from clip_spark.runtime.fresh_process import FreshProcess

In = TypeVar("In")
Out = TypeVar("Out")

DEADLY = "kills the process"
TRIES = 2
"""A record is deadly if it kills so many fresh processes: one may have died of something else."""
MOST_DEADLY = 100
"""Records of one shard; with more it is the machine that is ill, and no record should be blamed."""
TOO_LONG = "takes too long"


@dataclass(frozen=True)
class Limits:
    """What a call may take: wall seconds, and bytes of its process's memory (0 is no limit); and see MOST_DEADLY."""

    seconds: float = 0
    memory_bytes: int = 0
    most_deadly: float = MOST_DEADLY


class Apart(Generic[In, Out]):
    """*Worker.* Calls a picklable function in as many child processes as threads call it; a context manager."""

    def __init__(self, function: Callable[[In], Out], limits: Limits = Limits()) -> None:
        self._function, self._limits = function, limits
        self._idle: list[_Child] = []
        self._deadly = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Apart[In, Out]:
        """Children start at the first calls."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End all children."""
        while self._idle:
            self._idle.pop().close()

    def __call__(self, item: In) -> Out:
        """What the function returns or raises.

        Raises:
            Rejected: the item kills the process, or takes longer than the limit.
            ClipSparkError: so many items do that they cannot be to blame.
        """
        ended = ""
        for _ in range(TRIES):
            child = self._take()
            try:
                good, answer = child.ask(item)
            except TimeoutError as error:
                child.close(now=True)
                raise Rejected(TOO_LONG, f"more than {self._limits.seconds:g} s") from error
            except (EOFError, ConnectionError):
                ended = child.close()
                continue
            with self._lock:
                self._idle.append(child)
            if not good:
                raise answer
            return answer
        raise self._blame(ended)

    def _take(self) -> _Child:
        with self._lock:
            return self._idle.pop() if self._idle else _Child(self._function, self._limits)

    def _blame(self, ended: str) -> Exception:
        with self._lock:
            self._deadly += 1
        if self._deadly > self._limits.most_deadly:
            return ClipSparkError(
                f"More than {self._limits.most_deadly} records of a shard ended a process ({ended}); see memory."
            )
        return Rejected(DEADLY, f"{TRIES} processes that worked on this record ended ({ended})")


class _Child(FreshProcess):
    """*Worker.* One process that has the function; it says when it is ready."""

    def __init__(self, function: Callable[[Any], Any], limits: Limits) -> None:
        super().__init__(_serve)
        self._seconds = limits.seconds
        try:
            self.connection.send((function, limits.memory_bytes))
            self.connection.recv()
        except (EOFError, ConnectionError) as error:
            raise ClipSparkError(f"A child process for careful work does not start ({self.close()}).") from error

    def ask(self, item: Any) -> tuple[bool, Any]:
        self.connection.send(item)
        if self._seconds and not self.connection.poll(self._seconds):
            raise TimeoutError
        return self.connection.recv()


def _serve(asked: Connection) -> None:
    """In the child: say that it is there, then answer."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # when memory runs out, this process is the one to go
    multiprocessing.current_process().daemon = True  # it begins no processes of its own
    function, memory_bytes = asked.recv()
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    asked.send(None)
    while True:
        item = asked.recv()
        try:
            answer = True, function(item)
        except Exception as error:  # noqa: BLE001 - handed to the caller, whatever it is
            answer = False, error
        asked.send(answer)
