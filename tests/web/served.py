"""The server as a process of its own, started for a test and ended by its pid."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def start_server(
    indices: dict[str, str], log: Path, *options: str, files: int | None = None
) -> subprocess.Popen[bytes]:
    """Start it on a free port of loopback; stdout and stderr go to `log`; `files` is the most that it may open."""
    named = [text for name, uri in indices.items() for text in ("--index", f"{name}={uri}")]
    command = [sys.executable, "-m", "clip_spark.jobs.serve", *named, "--port", "0", "--json", *options]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    if files is not None:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (files, files))
    return process


@contextmanager
def served(indices: dict[str, str], log: Path, *options: str) -> Iterator[str]:
    """A server of its own for the block; gives its address."""
    process = start_server(indices, log, *options)
    try:
        yield wait_ready(process, log)
    finally:
        process.terminate()
        process.wait(120)


def wait_ready(process: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> str:
    """The address it announces."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith('{"event": "ready"'):
                return json.loads(line)["url"]
        time.sleep(0.2)
    raise TimeoutError(f"the server did not start:\n{log.read_text()}")


def settled(address: str) -> str:
    """The address of a page, once the server answers it with its hits: a busy machine may leave them out at first."""
    asked = urllib.request.Request(address, headers={"Accept": "text/html"})
    for _ in range(20):
        with urllib.request.urlopen(asked, timeout=60) as answer:
            if b'id="ahead"' in answer.read():
                return address
    raise TimeoutError(f"{address} never brought its answer along")
