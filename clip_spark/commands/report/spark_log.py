"""*Driver.* What Spark's event log tells of applications: what was held, what was used, what failed, by step.

Logs are read as streams of lines, plain or packed with zstd (Spark 4's default), rolled or in one file; what is kept
grows with applications, steps and executors, not with tasks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from clip_spark import storage
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError
from clip_spark.texts.corpus.opening import GarbledError, is_damage, open_source

LOG = re.compile(
    r"(?P<app>(local|app|application|spark)-[\w-]+|application_[\w]+)(\.(zstd|lz4|snappy|lzf))?(\.inprogress)?\Z"
)
"""The name of a log in one file."""
ROLLED = re.compile(r"events_(?P<number>\d+)_(?P<app>[^.]+)(\.(zstd|lz4|snappy|lzf))?(\.inprogress)?\Z")
UNREADABLE = (".lz4", ".snappy", ".lzf")
"""Spark frames these in ways of its own that no library outside the JVM reads."""
BLOCK = 1 << 20
OTHER = "(no step)"


@dataclass
class StepWork:
    """What the tasks of one step did; seconds and bytes are sums over tasks, `peak_memory` is the most of one."""

    tasks: int = 0
    failed: int = 0
    run_seconds: float = 0.0
    cpu_seconds: float = 0.0
    gc_seconds: float = 0.0
    shuffled: int = 0
    spilled: int = 0
    peak_memory: int = 0

    def add(self, event: Mapping[str, Any]) -> None:
        """One `SparkListenerTaskEnd`; a task that was lost with its executor has no metrics."""
        self.tasks += 1
        self.failed += event.get("Task End Reason", {}).get("Reason") != "Success"
        metrics = event.get("Task Metrics") or {}
        self.run_seconds += metrics.get("Executor Run Time", 0) / 1e3
        self.cpu_seconds += metrics.get("Executor CPU Time", 0) / 1e9
        self.gc_seconds += metrics.get("JVM GC Time", 0) / 1e3
        self.spilled += metrics.get("Disk Bytes Spilled", 0)
        self.shuffled += (metrics.get("Shuffle Write Metrics") or {}).get("Shuffle Bytes Written", 0)
        self.peak_memory = max(self.peak_memory, metrics.get("Peak Execution Memory", 0))


@dataclass
class Application:
    """One application of a log; times are seconds since the epoch, 0 where the log does not say.

    Attributes:
        steps: name of the step, as Spark's page shows it, -> what its tasks did.
        held_core_seconds: cores of executors times how long they were there: what a cluster bills.
        executors_lost: that were removed before the application ended.
    """

    app_id: str
    name: str = ""
    started: float = 0.0
    ended: float = 0.0
    steps: dict[str, StepWork] = field(default_factory=dict)
    held_core_seconds: float = 0.0
    executors_lost: int = 0
    _executors: dict[str, tuple[float, int]] = field(default_factory=dict)
    _step_of_stage: dict[int, str] = field(default_factory=dict)
    _last: float = 0.0

    def take(self, event: Mapping[str, Any]) -> None:
        """*Pure.* Follow one event; those of no interest do nothing."""
        kind = str(event.get("Event", "")).removeprefix("SparkListener")
        if "Timestamp" in event:
            self._last = max(self._last, event["Timestamp"] / 1e3)
        if kind == "ApplicationStart":
            self.name, self.started = str(event.get("App Name", "")), event["Timestamp"] / 1e3
        elif kind == "ApplicationEnd":
            self.ended = event["Timestamp"] / 1e3
        elif kind == "ExecutorAdded":
            self._executors[event["Executor ID"]] = (event["Timestamp"] / 1e3, event["Executor Info"]["Total Cores"])
        elif kind == "ExecutorRemoved":
            self._remove(event["Executor ID"], event["Timestamp"] / 1e3)
        elif kind == "JobStart":
            step = (event.get("Properties") or {}).get("spark.jobGroup.id") or OTHER
            self._step_of_stage.update(dict.fromkeys(event.get("Stage IDs", ()), step))
        elif kind == "TaskEnd":
            self._last = max(self._last, event.get("Task Info", {}).get("Finish Time", 0) / 1e3)
            step = self._step_of_stage.get(event.get("Stage ID", -1), OTHER)
            self.steps.setdefault(step, StepWork()).add(event)

    def _remove(self, executor: str, at: float) -> None:
        since, cores = self._executors.pop(executor, (at, 0))
        self.held_core_seconds += cores * max(0.0, at - since)
        self.executors_lost += not self.ended

    def close(self) -> None:
        """*Pure.* The log is read: executors that are left were held until the application's end, or its last word."""
        end = self.ended or self._last
        for since, cores in self._executors.values():
            self.held_core_seconds += cores * max(0.0, end - since)
        self._executors.clear()


def read_logs(uri: str) -> list[Application]:
    """*Driver.* The applications of a folder of event logs (`spark.eventLog.dir`), or of one log, by their start.

    Raises:
        InputError: there is none, or one that only a JVM can unpack.
    """
    uri = storage.absolute(uri)
    names = [file.uri for file in storage.list_files(uri)] or ([uri] if storage.exists(uri) else [])
    logs: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if found := ROLLED.match(storage.name(name)) or LOG.match(storage.name(name)):
            number = int(found.groupdict().get("number") or 0)
            logs.setdefault(found["app"], []).append((number, name))
    if not logs:
        raise InputError(f"'{uri}' holds no event log of Spark; give the folder that spark.eventLog.dir named.")
    applications = [_read(app, [name for _, name in sorted(files)]) for app, files in logs.items()]
    return sorted(applications, key=lambda one: (one.started, one.app_id))


def _read(app: str, files: list[str]) -> Application:
    application = Application(app)
    for uri in files:
        for event in _events(uri):
            application.take(event)
    application.close()
    return application


def _events(uri: str) -> Iterator[Mapping[str, Any]]:
    """Line by line; the last of a log that is being written, or of a driver that was killed, may be cut: it is left."""
    if uri.removesuffix(".inprogress").endswith(UNREADABLE):
        raise InputError(
            f"'{uri}' is packed in a way that only Spark reads; run with --conf spark.eventLog.compression.codec=zstd."
        )
    try:
        with open_source(uri) as source:
            for line in _lines(iter(lambda: source.stream.read(BLOCK), b"")):
                try:
                    value = json.loads(line)
                except ValueError:
                    continue
                if isinstance(value, dict):
                    yield value
    except Exception as error:
        if not (isinstance(error, GarbledError) or is_damage(error)):
            raise


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
    if rest:
        yield rest


def application_table(applications: Iterable[Application]) -> Table:
    """*Pure.* One row for each step of each application."""
    rows = [
        (one.name or one.app_id, step, work.tasks, work.failed, round(work.run_seconds, 1),
         round(work.cpu_seconds, 1), work.shuffled, work.spilled)
        for one in applications for step, work in one.steps.items()
    ]  # fmt: skip
    columns = ("application", "step", "tasks", "failed", "task seconds", "JVM CPU seconds", "shuffled", "spilled")
    return Table("Spark", columns, rows)


def held_table(applications: Iterable[Application]) -> Table:
    """*Pure.* What each application held, which is what a cluster bills, and how much of it tasks used."""
    rows = []
    for one in applications:
        used = sum(work.run_seconds for work in one.steps.values())
        share = f"{used / one.held_core_seconds:.0%}" if one.held_core_seconds else ""
        state = "" if one.ended else "no end in the log: killed, or still running"
        rows.append((one.name or one.app_id, round(one.held_core_seconds / 3600, 4), share, one.executors_lost, state))
    return Table("held", ("application", "core hours", "used by tasks", "executors lost", ""), rows)
