"""The bench that scenarios run on: S3 server, proxy in front of it, standalone cluster, one Spark application."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clip_spark import storage
from clip_spark.datasets.sources import SOURCES
from clip_spark.runtime.session import SessionSource, session_source
from scripts.package import make_zip
from scripts.standalone import Cluster, standalone_cluster
from tests.faults.steps import FaultStep
from tests.faults.victims import WORKER_CORES, WORKER_MEMORY
from tests.services.commands import SETTINGS, Submitter
from tests.services.inputs import write_inputs, write_links
from tests.services.picture_web import picture_web
from tests.services.proxy import FaultProxy, fault_proxy
from tests.services.seaweed import BUCKET, S3Server, s3_server

BASE = f"s3://{BUCKET}/base"
DECOMMISSIONING = {"SPARK_WORKER_OPTS": "-Dspark.decommission.enabled=true"}
TRIGGERS = ("first shard", "middle", "commit")
ONE_OF_EACH_SHARD = ("counts/", "records/", "tags/", "points/", "duplicates/", "examples/", "journal/")
"""Of these folders each shard puts one file, whatever else it writes."""


@dataclass
class Bench:
    """Everything that runs; `choose` of the proxy is what a scenario sets."""

    s3: S3Server
    proxy: FaultProxy
    cluster: Cluster
    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def driver_seconds(self) -> float:
        """How long anything may take that a scenario waits for: a busy machine is no fault."""
        return 600 + 20 * max(self.seconds.values(), default=0)

    @property
    def submitter(self) -> Submitter:
        """Starts other driver processes on the same cluster, through the proxy."""
        return Submitter(self.cluster.master, self.folder / "clip_spark.zip", self.s3, self.proxy.endpoint)

    def run(self, step: FaultStep, output: str) -> float:
        """Run a step with this process as the driver; returns the seconds."""
        source, started = self.source(), time.monotonic()
        step.job.run(source, step.spec(BASE, output))
        return time.monotonic() - started

    def source(self) -> SessionSource:
        """Gives the session of this process as a driver on the cluster."""
        settings = {**SETTINGS, **self.submitter.executor_environment()}
        settings["spark.cores.max"] = "2"  # one executor on each worker; the other cores are for other drivers
        settings["spark.submit.pyFiles"] = str(self.folder / "clip_spark.zip")
        settings |= self.extra
        return session_source("clip-spark faults", self.cluster.master, settings)

    @contextlib.contextmanager
    def application(self, extra: dict[str, str]) -> Iterator[None]:
        """A Spark application of its own, with more settings, for what is run inside the block."""
        stop_application()
        self.extra = extra
        try:
            yield
        finally:
            stop_application()
            self.extra = {}

    def submit(self, step: FaultStep, output: str) -> subprocess.Popen[str]:
        """Start a step with a driver of its own, on one core."""
        return self.start(step.command, *step.arguments(BASE, output))

    def start(self, command: str, *arguments: str) -> subprocess.Popen[str]:
        """Start any command with a driver of its own, on one core."""
        return replace(self.submitter, settings=(("spark.cores.max", "1"),)).start(command, *arguments)

    @contextlib.contextmanager
    def when(self, moment: str, output: str, action: Callable[[], Any]) -> Iterator[list[str]]:
        """Do something once, at a moment of the run that writes `output`; yields a list that then says what it did."""
        happened: list[str] = []
        lock = threading.Lock()
        key = output.split("://", 1)[1]
        seen = {"shards": 0, "begun": 0}

        def choose(method: str, path: str) -> str:
            if method not in ("PUT", "POST") or f"/{key}/" not in path:
                return ""
            name = path.split(f"/{key}/", 1)[1]
            with lock:
                seen["shards"] += name.startswith(ONE_OF_EACH_SHARD) or (name.startswith("parts/") and ".index" in name)
                if seen["begun"] or not is_moment(moment, name, seen["shards"]):
                    return ""
                seen["begun"] = 1
            try:  # without the lock: the action may itself write there
                happened.append(f"{action()}")
            except BaseException:
                seen["begun"] = 0
                raise
            return ""

        self.proxy.choose = choose
        try:
            yield happened
        finally:
            self.proxy.choose = lambda method, path: ""


def stop_application() -> None:
    """End the application of this process, if there is one; the next run starts another."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    running = SparkContext._active_spark_context  # the active session is a JVM thread's own; this may have got another
    if running is not None:
        SparkSession(running).stop()


def is_moment(moment: str, name: str, shards: int) -> bool:
    """Whether a PUT of `name` inside the output, the first of so many shards, is the moment."""
    if moment == "commit":
        return name == "manifest.json"
    if moment == "middle":
        return shards == 2
    return not name.endswith((".json", SOURCES))  # what the driver puts before it starts tasks


@contextlib.contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """Start everything; the undisturbed inputs are there."""
    with (
        s3_server(folder / "s3") as s3,
        fault_proxy(s3.port, lambda method, path: "") as proxy,
        picture_web() as web,
        standalone_cluster(
            folder / "cluster", workers=2, cores=WORKER_CORES, memory=WORKER_MEMORY, env=DECOMMISSIONING
        ) as cluster,
    ):
        os.environ.update({**s3.env(proxy.endpoint), "SPARK_LOCAL_IP": "127.0.0.1"})
        storage.forget_clients()
        make_zip(folder / "clip_spark.zip")
        write_inputs(folder / "in")
        for file in sorted((folder / "in").rglob("*.*")):
            storage.write_bytes(f"{BASE}/in/{file.relative_to(folder / 'in')}", file.read_bytes())
        write_links(f"{BASE}/in/links", web)
        yield Bench(s3, proxy, cluster, folder)
