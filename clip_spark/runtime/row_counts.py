"""*Anywhere.* How many rows running tasks have done so far, told to the driver: progress inside of shards.

Spark's accumulators arrive when a task ends, and a shard may take an hour. So a task sends a datagram with its count,
every few seconds at most, to the address at which executors reach the driver. Nobody waits for one: where none arrive,
the progress line counts shards alone. The counts of a task add up, so that a lost one is made good by the next.
"""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from clip_spark.runtime.devices import task_context

PROPERTY = "clip_spark.rows.told.to"
"""Spark's local property that brings tasks `host port secret`."""
TELL_SECONDS = 2.0
BUFFER_BYTES = 4 << 20
MOST_BYTES = 1000
Figures = Callable[[], Mapping[str, float]]
"""What a task tells beside its rows, by name; asked only when it is told."""
OK, BYTES, HOST_LINKS, HOST_SECONDS = "ok", "bytes", "links of ", "seconds of "
"""Names of figures: rows that succeeded, bytes that came, and links and seconds of a host that is slow."""


class RowsHeard:
    """*Driver.* What the tasks of a job have told; a task that is tried again counts from its beginning."""

    def __init__(self, host: str, bind: str = "") -> None:
        """Open a port; raises OSError where that cannot be.

        Args:
            host: at which executors reach this machine.
            bind: the address to listen at, if it is another.
        """
        family, _, _, _, address = socket.getaddrinfo(bind or host, 0, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._socket.bind(address)
        self._awake = False
        self._secret = secrets.token_hex(8)
        self._tasks: dict[tuple[int, int], tuple[int, int, dict[str, float]]] = {}
        self.where = f"{host} {self._socket.getsockname()[1]} {self._secret}"

    def listen(self, seconds: float) -> None:
        """Take what comes for so long, or until somebody calls `wake`."""
        end = time.monotonic() + seconds
        while not self._awake and (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            with suppress(OSError):  # nothing came
                self._note(self._socket.recv(MOST_BYTES))

    def _note(self, message: bytes) -> None:
        secret, *rest = message.decode("utf-8", "replace").split(" ", 5)
        if secret != self._secret or len(rest) != 5 or not all(number.isdecimal() for number in rest[:4]):
            return
        stage, partition, attempt, rows = map(int, rest[:4])
        if (attempt, rows) >= self._tasks.get((stage, partition), (0, 0))[:2]:
            with suppress(ValueError):
                self._tasks[stage, partition] = attempt, rows, json.loads(rest[4])

    def wake(self) -> None:
        """Let another thread that listens return at once: a job that is done must not wait for it."""
        self._awake = True
        with suppress(OSError):
            self._socket.sendto(b"", self._socket.getsockname())

    @property
    def rows(self) -> int:
        """Of all tasks together."""
        return sum(rows for _, rows, _ in self._tasks.values())

    @property
    def figures(self) -> Counter[str]:
        """Of all tasks together, by name."""
        found: Counter[str] = Counter()
        for _, _, figures in self._tasks.values():
            found.update(figures)
        return found

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@dataclass
class _Count:
    """The rows of the task that this process works on."""

    task: int
    rows: int = 0
    told: int = 0
    told_at: float = 0.0
    figures: Figures = dict


_count = _Count(-1)


def count_rows(number: int, figures: Figures = dict) -> None:
    """*Worker.* So many rows more are done; told to the driver now and then. Outside of a task nothing happens.

    Args:
        number: of rows.
        figures: of the task so far; their names and values are few and short.
    """
    context = task_context()
    if context is None:
        return
    global _count
    if _count.task != context.taskAttemptId():
        _count = _Count(context.taskAttemptId())
    _count.rows += number
    _count.figures = figures
    if time.monotonic() - _count.told_at >= TELL_SECONDS:
        tell_rows()


def tell_rows() -> None:
    """*Worker.* Tell the driver what it has not heard yet; for the end of a task."""
    context = task_context()
    if context is None or _count.task != context.taskAttemptId() or _count.told == _count.rows:
        return
    _count.told, _count.told_at = _count.rows, time.monotonic()
    if where := context.getLocalProperty(PROPERTY):
        with suppress(OSError, ValueError):  # a line of progress is worth no error
            _send(where, context)


def _send(where: str, context: Any) -> None:
    host, port, secret = where.split()
    if (found := _address(host, int(port))) is None:
        return
    family, address = found
    figures = json.dumps(_count.figures(), separators=(",", ":"))
    message = f"{secret} {context.stageId()} {context.partitionId()} {context.attemptNumber()} {_count.rows} {figures}"
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(message.encode(), address)


@lru_cache(8)
def _address(host: str, port: int) -> tuple[int, Any] | None:
    """*Worker.* Looked up once: a name that nobody knows may take seconds each time."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    except OSError:
        return None
    return family, address
