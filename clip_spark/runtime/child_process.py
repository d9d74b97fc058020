"""*Worker.* A function in child processes: a record that kills the process is then known, and only it is lost.

A native library that crashes, or a record that takes all memory, ends the whole Python process of a task; Spark
retries the shard and it dies again. So from a shard's second attempt on, what depends on a record's own bytes (decoding
a picture, splitting a text) is done here. The first attempt knows nothing of this and costs nothing.
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from clip_spark.errors import ClipSparkError, Rejected

In = TypeVar("In")
Out = TypeVar("Out")

DEADLY = "kills the process"
TRIES = 2
"""A record is deadly if it kills so many fresh processes: one may have died of something else."""
MOST_DEADLY = 100
"""Records of one shard; with more it is the machine that is ill, and no record should be blamed."""
TOO_LONG = "takes too long"
CLOSE_SECONDS = 10


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
                child.kill()
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


class _Child:
    """*Worker.* One process; spawned, since a fork of a process with torch's threads can hang."""

    def __init__(self, function: Callable[[Any], Any], limits: Limits) -> None:
        self._seconds = limits.seconds
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, function, limits.memory_bytes), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self._ours.recv()
        except EOFError as error:
            raise ClipSparkError(f"A child process for careful work does not start ({self.close()}).") from error

    def ask(self, item: Any) -> tuple[bool, Any]:
        self._ours.send(item)
        if self._seconds and not self._ours.poll(self._seconds):
            raise TimeoutError
        return self._ours.recv()

    def kill(self) -> None:
        """End it in the middle of its work."""
        self._process.kill()
        self.close()

    def close(self) -> str:
        """End it; says how it ended."""
        self._ours.close()
        self._process.join(CLOSE_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        return how_ended(self._process.exitcode or 0)


def how_ended(exitcode: int) -> str:
    """*Pure.* `SIGSEGV`, or `exit status 3`."""
    with suppress(ValueError):
        return signal.Signals(-exitcode).name if exitcode < 0 else f"exit status {exitcode}"
    return f"signal {-exitcode}"


def _serve(asked: Connection, function: Callable[[Any], Any], memory_bytes: int) -> None:
    """In the child: say that it is there, then answer until the parent closes the pipe or is gone."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # when memory runs out, this process is the one to go
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    asked.send(None)
    with suppress(EOFError, ConnectionError):
        while True:
            item = asked.recv()
            try:
                answer = True, function(item)
            except Exception as error:  # noqa: BLE001 - handed to the caller, whatever it is
                answer = False, error
            asked.send(answer)
