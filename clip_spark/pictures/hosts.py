"""*Worker.* Hosts of links that do not answer cost seconds each: after some in a row nobody asks them for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from clip_spark import storage
from clip_spark.errors import StorageError

MOST_FAILURES = 10
"""Failures in a row that are the host's own (no name, no connection, no answer): then it is taken for dead."""
DEAD_SECONDS = 600.0
"""So long; then one link more is tried."""
MOST_HOSTS = 100_000
"""Hosts that a process remembers as failing; with more it begins anew."""


def host_of(url: str) -> str:
    """*Pure.* `host:port` as written; what one server's limits are kept for."""
    try:
        return urlsplit(url.strip()).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


@dataclass
class _Silence:
    """Failures of a host, one after the other, and when the last one was."""

    failures: int = 0
    last: float = 0.0


_silent: dict[str, _Silence] = {}
_lock = threading.Lock()


def read_link(uri: str) -> bytes:
    """*Worker.* The bytes of a picture anywhere; of a host that this process has found dead only that it is.

    Raises:
        StorageError: it cannot be reached.
        FileNotFoundError: it is not there.
    """
    with asked(uri):
        return storage.read_bytes(uri)


@contextmanager
def asked(uri: str) -> Iterator[None]:
    """*Worker.* Around whatever reads `uri`; raises StorageError at once where its host is taken for dead.

    Files and stores of the user are none of its business.
    """
    if not storage.is_web(uri):
        yield
        return
    host = host_of(uri)
    _check_alive(host, uri)
    try:
        yield
    except StorageError as error:
        (_note_answer if _is_answer(error) else _note_failure)(host)
        raise
    except FileNotFoundError:
        _note_answer(host)
        raise
    _note_answer(host)


def _check_alive(host: str, uri: str) -> None:
    with _lock:
        silence = _silent.get(host)
        if silence is None or silence.failures < MOST_FAILURES:
            return
        if time.monotonic() - silence.last > DEAD_SECONDS:
            silence.failures = MOST_FAILURES - 1
            return
    raise StorageError(f"'{uri}' was not asked for: {MOST_FAILURES} links of {host} failed one after the other.")


def _note_failure(host: str) -> None:
    with _lock:
        if len(_silent) >= MOST_HOSTS:
            _silent.clear()
        silence = _silent.setdefault(host, _Silence())
        silence.failures, silence.last = silence.failures + 1, time.monotonic()


def _note_answer(host: str) -> None:
    with _lock:
        _silent.pop(host, None)


def _is_answer(error: StorageError) -> bool:
    """*Pure.* True if a server said something, such as 403 or 500."""
    return hasattr(error.__cause__, "status")
