"""Machines that are slow, full, late or about to go."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from clip_spark.errors import ClipSparkError
from tests.faults.bench import Bench
from tests.faults.victims import (
    WORKER_CORES,
    WORKER_MEMORY,
    descendants,
    executors,
    kill,
    python_workers,
)
from tests.services.processes import wait_until

if TYPE_CHECKING:
    from tests.faults.scenarios import Scenario

OTHER_HOST = "127.0.0.2"
"""Loopback too, but another machine to Spark, which starts no copy of a task on the machine of the first."""
SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.quantile": "0.3",
    "spark.speculation.interval": "200ms",
    "spark.speculation.minTaskRuntime": "500ms",
    "spark.speculation.task.duration.threshold": "3s",  # a stage of one task has no others to compare it with
}
FULL_DISK = 'mount -t tmpfs -o size=64k tmpfs "$0" && export SPARK_LOCAL_DIRS="$0" && exec "$@"'


def straggler(running: Bench, scenario: Scenario, output: str) -> str:
    """A Python worker stops for ever at its first shard, a copy of its task runs elsewhere, and it wakes at the end."""
    stopped: list[int] = []

    def stop() -> int:
        stopped.append(next(python_workers(running.cluster)))
        os.kill(stopped[0], signal.SIGSTOP)
        return stopped[0]

    def wake() -> None:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    with replaced_worker(running, OTHER_HOST), running.application(SPECULATION):
        try:
            with running.when("first shard", output, stop), watch_commit(running, output, wake):
                running.run(scenario.step, output)
        finally:
            wake()
    assert stopped, "nothing was stopped"
    return ""


def full_disk(running: Bench, scenario: Scenario, output: str) -> str:
    """One of two workers has no room on the disk that Spark uses; run again when the worker is replaced."""
    place = running.folder / "full"
    place.mkdir(exist_ok=True)
    said = ", the other worker did it"
    full = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", FULL_DISK, str(place)]
    with running.application({}):
        with replaced_worker(running, inside=full):
            try:
                running.run(scenario.step, output)
            except ClipSparkError as error:
                assert "No space left" in str(error), f"not a clear error: {error}"
                said = ", failed clearly, run again"
        running.run(scenario.step, output)
    return said


def late_worker(running: Bench, scenario: Scenario, output: str) -> str:
    """A run begins on one worker; at its first shard a second one joins and gets the rest of the work."""
    late: list[subprocess.Popen[bytes]] = []

    def join() -> int:
        if not late:  # the moment is tried again when the wait below runs out
            late.append(running.cluster.add_worker(WORKER_CORES, WORKER_MEMORY))
        wait_until("a task on the late worker", lambda: has_task(running, late[0].pid), 60)
        return late[0].pid

    cores = {"spark.cores.max": str(2 * WORKER_CORES)}  # some are left for the late one
    one_task = {"spark.executor.cores": str(WORKER_CORES), "spark.task.cpus": str(WORKER_CORES)}  # and a shard is, too
    with running.application(cores | one_task):
        lose_worker(running)
        with running.when("first shard", output, join) as happened:
            running.run(scenario.step, output)
    assert happened, "the late worker got no task"
    return ""


def decommission(running: Bench, scenario: Scenario, output: str) -> str:
    """A worker is told that its machine will go (SIGPWR, as a spot instance's agent sends it)."""
    victim = alive(running)[0]
    with running.application({"spark.decommission.enabled": "true", "spark.storage.decommission.enabled": "true"}):
        with running.when(scenario.moment, output, lambda: os.kill(victim.pid, signal.SIGPWR) or 1) as happened:
            running.run(scenario.step, output)
        assert happened, "the fault did not happen"
        wait_until("one worker less", lambda: running.cluster.alive_workers() == 1, 120)
    end(victim)
    running.cluster.add_worker(WORKER_CORES, WORKER_MEMORY)
    wait_until("two workers", lambda: running.cluster.alive_workers() == 2)
    return ""


@contextlib.contextmanager
def replaced_worker(running: Bench, host: str = "127.0.0.1", inside: list[str] | None = None) -> Iterator[None]:
    """Another kind of worker in the place of one, while the block runs."""
    lose_worker(running)
    other = running.cluster.add_worker(WORKER_CORES, WORKER_MEMORY, host, inside or ())
    wait_until("the other worker", lambda: running.cluster.alive_workers() == 2)
    try:
        yield
    finally:
        end(other)
        wait_until("the other worker's end", lambda: running.cluster.alive_workers() == 1)
        running.cluster.add_worker(WORKER_CORES, WORKER_MEMORY)
        wait_until("two workers", lambda: running.cluster.alive_workers() == 2)


@contextlib.contextmanager
def watch_commit(running: Bench, output: str, action: Callable[[], None]) -> Iterator[None]:
    """Do something when the manifest is being put, besides what the proxy does already."""
    before, key = running.proxy.choose, output.split("://", 1)[1]

    def choose(method: str, path: str) -> str:
        if method == "PUT" and path.split("?")[0].endswith(f"/{key}/manifest.json"):
            action()
        return before(method, path)

    running.proxy.choose = choose
    yield


def alive(running: Bench) -> list[subprocess.Popen[bytes]]:
    """The workers that run."""
    return [process for process in running.cluster.processes[1:] if process.poll() is None]


def lose_worker(running: Bench) -> None:
    """End one worker and all below it, and wait until the master knows."""
    end(alive(running)[0])
    wait_until("one worker less", lambda: running.cluster.alive_workers() == 1)


def end(worker: subprocess.Popen[bytes]) -> None:
    """SIGKILL of a worker and of all below it."""
    kill([*descendants(worker.pid), worker.pid])
    worker.wait(10)


def has_task(running: Bench, worker: int) -> bool:
    """Whether an executor of a worker has started a Python worker, which it does for a task."""
    return not set(descendants(worker)).isdisjoint(python_workers(running.cluster))


def nothing_outlives(running: Bench, scenario: Scenario, output: str) -> str:
    """An ordinary run: no process, thread or port of it is there afterwards."""
    import threading

    running.run(scenario.step, f"{output}-first")  # Spark, clients and their threads are there from now on
    threads = {thread.name for thread in threading.enumerate()}
    running.run(scenario.step, f"{output}-second")
    ports, workers = listening_ports(), set(executors(running.cluster))
    driver = running.submit(scenario.step, output)
    said, _ = driver.communicate(timeout=running.driver_seconds)
    assert driver.returncode == 0, said[-800:]
    wait_until("the end of its executors", lambda: set(executors(running.cluster)) <= workers, 120)
    wait_until("the end of all processes of the driver", lambda: not group_lives(driver.pid), 120)
    wait_until("the end of its ports", lambda: listening_ports() <= ports, 120)
    left = {thread.name for thread in threading.enumerate()} - threads
    assert not left, f"threads are left: {left}"
    return ""


def group_lives(group: int) -> bool:
    """Whether a process of a group is there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def listening_ports() -> set[int]:
    """Ports of this machine that somebody listens on."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table) as lines:
            fields = [line.split() for line in list(lines)[1:]]
            found |= {int(field[1].rsplit(":", 1)[1], 16) for field in fields if field[3] == "0A"}
    return found
