"""Finds and kills the processes of our own cluster: only descendants of processes that the suite started."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.standalone import Cluster

EXECUTOR = "CoarseGrainedExecutorBackend"
PYTHON_DAEMON = "pyspark.daemon"
WORKER_CORES, WORKER_MEMORY = 2, "3g"
"""One core for the application of the suite, one for a driver that a scenario starts; only promised, not reserved."""


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    return found


def descendants(pid: int) -> list[int]:
    """All processes below a process."""
    parents = _parents()
    below: list[int] = []
    level = {pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        below += sorted(level)
    return below


def command_of(pid: int) -> str:
    """The command line of a process; empty if it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def executors(cluster: Cluster) -> list[int]:
    """The executor JVMs of all workers of this cluster."""
    workers = [process.pid for process in cluster.processes[1:] if process.poll() is None]
    return [pid for worker in workers for pid in descendants(worker) if EXECUTOR in command_of(pid)]


def python_workers(cluster: Cluster) -> Iterator[int]:
    """Python processes that run tasks: the children of the daemons below the executors."""
    parents = _parents()  # once: to read all of /proc takes its time on a busy machine, and a request waits for this
    for executor in executors(cluster):
        for pid in descendants(executor):
            parent = parents.get(pid, 0)
            if PYTHON_DAEMON in command_of(pid) and PYTHON_DAEMON in command_of(parent):
                yield pid


def kill(pids: list[int]) -> int:
    """SIGKILL; returns how many were alive."""
    hit = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            hit += 1
    return hit


def kill_python_worker(cluster: Cluster) -> int:
    """Kill every Python process of one executor, as an out-of-memory killer would."""
    return kill(list(python_workers(cluster))[:1])


def kill_executor(cluster: Cluster) -> int:
    """Kill one executor's JVM."""
    return kill(executors(cluster)[:1])


def kill_spark_worker(cluster: Cluster) -> int:
    """Kill a Spark worker daemon with all its processes, as when a machine is lost; a new one joins later."""
    worker = next(process for process in cluster.processes[1:] if process.poll() is None)
    hit = kill([*descendants(worker.pid), worker.pid])
    worker.wait(10)
    cluster.add_worker(WORKER_CORES, WORKER_MEMORY)
    return hit


KILLS: dict[str, Callable[[Cluster], int]] = {
    "Python worker": kill_python_worker,
    "executor": kill_executor,
    "Spark worker": kill_spark_worker,
}
