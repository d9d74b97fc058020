"""Processes that a test starts and surely ends: by their pids, never by name."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scripts.standalone import end_with_parent

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now; all are held at once, so that they differ."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in held]


def is_listening(port: int) -> bool:
    """True if something accepts connections."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def wait_until(what: str, holds: Callable[[], bool], seconds: float = 60) -> None:
    """Poll until `holds()`; raises TimeoutError that says what did not happen."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.1)


def start(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a process in its own group, its output in a log file; it ends with this one, however that is ended."""
    with log.open("ab") as stream:
        return subprocess.Popen(
            list(command),
            stdout=stream,
            stderr=stream,
            stdin=subprocess.DEVNULL,
            env=env,
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGKILL),
        )


def stop(process: subprocess.Popen[bytes], seconds: float = 10) -> None:
    """End a process that `start` started, and what it left in its group; 0 seconds to end at once."""
    if seconds:
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            process.terminate()
            process.wait(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
