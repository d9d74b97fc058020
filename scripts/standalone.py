"""A real Spark cluster on this machine, from pip's pyspark: a master and workers on loopback, on free ports.

    python scripts/standalone.py --workers 2 --cores 1     # prints the master's URL; Ctrl-C ends it
    clip-spark count-ngrams --master spark://127.0.0.1:PORT ...

The tests use it too. A real cluster is started the same way with `--host` of each machine: see docs/cluster.md.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = "127.0.0.1"
START_SECONDS = 120
PR_SET_PDEATHSIG = 1
"""Of Linux' prctl."""
LIGHT_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""For daemons on one machine, which only talk: the optimising compiler would take more from the cores than it gives."""


@dataclass
class Cluster:
    """A running cluster.

    Attributes:
        master: its URL, for `--master`.
        status_port: port of the master's web page, which also answers /json/.
        folder: logs, and the workers' folders.
        processes: the master first, then the workers.
        launcher: the thread that starts them all: the kernel ends a child with the *thread* that started it.
    """

    master: str
    status_port: int
    folder: Path
    env: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    launcher: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "launcher"))

    def status(self) -> dict[str, object]:
        """What the master says about workers and applications."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.status_port}/json/", timeout=5) as answer:
            return dict(json.load(answer))

    def alive_workers(self) -> int:
        """How many workers the master can use; 0 while it starts."""
        with contextlib.suppress(OSError, ValueError):
            return sum(worker["state"] == "ALIVE" for worker in self.status()["workers"])  # type: ignore[attr-defined]
        return 0

    def add_worker(
        self, cores: int, memory: str, host: str = LOOPBACK, inside: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        """Start one more worker; it joins by itself.

        Args:
            cores: as Spark counts them.
            memory: for all its executors.
            host: an address of this machine; to Spark, workers on different ones are different machines.
            inside: a command that runs the command that follows it, such as `nice -n 19`.
        """
        number = len(self.processes)
        arguments = [
            "org.apache.spark.deploy.worker.Worker", "--host", host, "--port", "0", "--webui-port", "0",
            "--cores", str(cores), "--memory", memory, "--work-dir", str(self.folder / f"work-{number}"), self.master,
        ]  # fmt: skip
        return self.launch(arguments, f"worker-{number}", inside)

    def launch(self, arguments: Sequence[str], name: str, inside: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a Spark daemon in its own process group."""
        program = str(Path(self.env["SPARK_HOME"]) / "bin" / "spark-class")
        with (self.folder / f"{name}.log").open("ab") as log:
            started = self.launcher.submit(
                subprocess.Popen,
                [*inside, program, *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self.env,
                start_new_session=True,
                preexec_fn=end_with_parent(),  # a worker told to stop ends its executors
            )
            process = started.result()
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """End every process of the cluster, executors included: workers end theirs when told to stop."""
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        self.launcher.shutdown()


def end_with_parent(how: int = signal.SIGTERM) -> Callable[[], None]:
    """For Popen's preexec_fn: the kernel sends the child a signal when its parent is gone, however that ended."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None  # not in the child: loading may wait for a lock

    def ask() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, how)

    return ask


def daemon_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of master and workers; nothing of AWS or of ours, as on machines that the driver never saw."""
    import pyspark

    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "SPARK_", "CLIP_SPARK"))}
    return {
        **kept,
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": LIGHT_JVM,
        "SPARK_LAUNCHER_OPTS": LIGHT_JVM,
        "PYSPARK_PYTHON": sys.executable,
        **extra,
    }


@contextlib.contextmanager
def standalone_cluster(
    folder: Path, workers: int = 2, cores: int = 1, memory: str = "1500m", env: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """Run a cluster while the block runs.

    Args:
        folder: for logs and work folders.
        workers: how many.
        cores: of each worker, as Spark counts them.
        memory: of each worker, for all its executors.
        env: more environment variables for the daemons.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, status_port = _free_ports(2)
    cluster = Cluster(f"spark://{LOOPBACK}:{port}", status_port, folder, daemon_environment(env or {}))
    try:
        cluster.launch(
            ["org.apache.spark.deploy.master.Master", "--host", LOOPBACK, "--port", str(port),
             "--webui-port", str(status_port)],
            "master",
        )  # fmt: skip
        for _ in range(workers):
            cluster.add_worker(cores, memory)
        end = time.monotonic() + START_SECONDS
        while cluster.alive_workers() < workers:
            if time.monotonic() > end:
                raise TimeoutError(f"the cluster did not come up within {START_SECONDS} s; see {folder}/*.log")
            time.sleep(0.3)
        yield cluster
    finally:
        cluster.stop()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in held]


def main(argv: Sequence[str] | None = None) -> int:
    """Start, say where, wait for Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cores", type=int, default=1, help="of each worker")
    parser.add_argument("--memory", default="2g", help="of each worker")
    given = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with (
        tempfile.TemporaryDirectory() as folder,
        standalone_cluster(Path(folder), given.workers, given.cores, given.memory) as cluster,
        contextlib.suppress(KeyboardInterrupt),
    ):
        print(f"{cluster.master}  (status: http://{LOOPBACK}:{cluster.status_port})", flush=True)
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
