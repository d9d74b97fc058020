"""The faults: what is done to a run, and how its result is judged."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from clip_spark import storage
from clip_spark.commands.clean import find_leftovers
from clip_spark.datasets.manifest import read_manifest
from clip_spark.errors import ClipSparkError
from tests.faults.bench import BASE, TRIGGERS, Bench
from tests.faults.compare import difference
from tests.faults.exports import (
    export_and_kill,
    export_and_kill_driver,
    export_and_undo,
    export_in_a_storm,
    export_twice,
    pictures_differ,
)
from tests.faults.machines import decommission, full_disk, late_worker, nothing_outlives, straggler
from tests.faults.migrations import migrate_and_kill, migrate_beside_a_server
from tests.faults.pairs import clean_beside, overwrite_beside, rebuild_beside_a_server
from tests.faults.poison import only_poison_is_missing, poison
from tests.faults.steps import COUNT, DOWNLOAD, DUPLICATES, IMAGES, IMPORT, INDEX, LINES, MAP, TAGS, TEXT, FaultStep
from tests.faults.victims import KILLS
from tests.services.proxy import every

ALL = (DOWNLOAD, COUNT, TEXT, IMAGES, INDEX, TAGS, MAP, DUPLICATES, IMPORT, LINES)


@dataclass(frozen=True)
class Scenario:
    """A fault at a moment of a step; `disturb` runs the step into an output, as often as is needed to finish it."""

    step: FaultStep
    fault: str
    moment: str
    disturb: Callable[[Bench, Scenario, str], str]
    judge: Callable[[str, str], str] = difference

    @property
    def name(self) -> str:
        """For logs and for choosing."""
        return f"{self.step.command}: {self.fault}" + (f", {self.moment}" if self.moment != "-" else "")


@dataclass(frozen=True)
class Outcome:
    """How it ended."""

    scenario: Scenario
    verdict: str
    lost: int
    seconds_lost: float
    left_behind: int

    @property
    def passed(self) -> bool:
        """The right result, and nothing lost."""
        return self.verdict.startswith("yes")


def run_scenario(running: Bench, scenario: Scenario, folder: str) -> Outcome:
    """Disturb, then judge."""
    output, started = f"{folder}/out", time.monotonic()
    reference = f"{BASE}/{scenario.step.dataset}"
    try:
        how = scenario.disturb(running, scenario, output)
        odd = scenario.judge(output, reference)
        lost = accounted(reference) - accounted(output)
    except (ClipSparkError, AssertionError, subprocess.TimeoutExpired, OSError, RuntimeError, ValueError) as error:
        how, odd, lost = "", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", -1
    spent = time.monotonic() - started - running.seconds[scenario.step.command]
    running.proxy.choose = lambda method, path: ""
    left = left_behind(folder) if storage.exists(folder) else 0
    odd = odd or (f"{left} temporary objects are left" if left and "SIGKILL" not in scenario.fault else "")
    return Outcome(scenario, f"NO: {odd}" if odd else f"yes{how}", lost, max(0.0, spent), left)


def left_behind(folder: str) -> int:
    """How much no reader could want; what was replaced a moment ago is kept for readers on purpose."""
    found = find_leftovers(folder, older_than_hours=0, unfinished=True)
    return sum(one.kind != "replaced generation" for one in found)


def accounted(uri: str) -> int:
    """Rows and rejects of a dataset."""
    found = read_manifest(uri)
    return found.rows + sum(found.rejects.values())


def kill_part(victim: str) -> Callable[[Bench, Scenario, str], str]:
    """Kill a process of the cluster while this process is the driver."""

    def disturb(running: Bench, scenario: Scenario, output: str) -> str:
        with running.when(scenario.moment, output, lambda: KILLS[victim](running.cluster)) as happened:
            again = ""
            try:
                running.run(scenario.step, output)
            except ClipSparkError:
                running.run(scenario.step, output)
                again = ", run again"
        assert happened and happened[0] != "0", "the fault did not happen"
        return again

    return disturb


def kill_driver(running: Bench, scenario: Scenario, output: str) -> str:
    """SIGKILL of the whole driver (JVM and Python), then the same command again, here."""
    started: list[subprocess.Popen[str]] = []
    with running.when(scenario.moment, output, lambda: os.killpg(started[0].pid, signal.SIGKILL) or 1) as happened:
        started.append(running.submit(scenario.step, output))
        said, _ = started[0].communicate(timeout=running.driver_seconds)
    assert happened, f"the fault did not happen: {said[-800:]}"
    running.run(scenario.step, output)
    return ", run again"


def storm(running: Bench, scenario: Scenario, output: str) -> str:
    """Faults of all kinds in a tenth of all requests, all the time."""
    running.proxy.choose = every("mixed", one_in=10)
    before = running.proxy.faults
    running.run(scenario.step, output)
    assert running.proxy.faults > before, "no fault happened"
    return f", {running.proxy.faults - before} faults"


def outage(running: Bench, scenario: Scenario, output: str) -> str:
    """The store answers 503 to everything after the first shard; the run fails clearly, then it is run again."""

    def go_down() -> int:
        running.proxy.choose = lambda method, path: "503"
        return 1

    with running.when("first shard", output, go_down), contextlib.suppress(ClipSparkError):
        running.run(scenario.step, output)
        raise AssertionError("the run did not fail")
    running.run(scenario.step, output)
    return ", failed clearly, run again"


def stale_listings(running: Bench, scenario: Scenario, output: str) -> str:
    """Listings of receipts show nothing of the run; the commit fails clearly, then it is run again."""
    running.proxy.choose = lambda _method, path: "stale-list" if "list-type=2" in path and "receipts" in path else ""
    with contextlib.suppress(ClipSparkError):
        running.run(scenario.step, output)
        raise AssertionError("the run did not fail")
    assert running.proxy.seen["stale-list"], "no listing was stale"
    running.proxy.choose = lambda _method, _path: ""
    running.run(scenario.step, output)
    return ", failed clearly, run again"


def slow_bodies(running: Bench, scenario: Scenario, output: str) -> str:
    """Every answer comes slowly, 0.2 s for each 64 KB."""
    running.proxy.choose = every("slow-body", one_in=1)
    before = running.proxy.seen["slow-body"]
    running.run(scenario.step, output)
    return f", {running.proxy.seen['slow-body'] - before} slow answers"


def two_drivers(running: Bench, scenario: Scenario, output: str) -> str:
    """The same command twice at the same time."""
    both = [running.submit(scenario.step, output) for _ in range(2)]
    statuses = [_finish(running, one) for one in both]
    assert 0 in statuses, f"no driver succeeded: {statuses}"
    return f", exit statuses {statuses[0]} and {statuses[1]}"


def two_plans(running: Bench, scenario: Scenario, output: str) -> str:
    """Two commands with different options on one output at the same time: one wins, the other is told."""
    other = replace(scenario.step, options={**scenario.step.options, "shard-rows": "150"})
    both = [running.submit(step, output) for step in (scenario.step, other)]
    statuses = [_finish(running, one) for one in both]
    assert sorted(statuses) == [0, 2], f"one must win and one be refused: {statuses}"
    if statuses[0] == 0:
        return ", the other was refused"
    storage.remove_tree(output)  # the other one won: nothing to compare with
    running.run(scenario.step, output)
    return ", this one was refused"


def _finish(running: Bench, process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=running.driver_seconds)
    return process.returncode


def exports() -> list[Scenario]:
    """Of export-tags, which writes beside pictures, and no dataset."""
    moments = TRIGGERS[:2]
    kills = [(f"SIGKILL of a {victim}".replace("a e", "an e"), export_and_kill(victim)) for victim in KILLS]
    kills.append(("SIGKILL of its driver", export_and_kill_driver))
    found = [(fault, moment, disturb) for fault, disturb in kills for moment in moments]
    found += [("a tenth of all requests fail", "-", export_in_a_storm), ("two drivers at once", "-", export_twice)]
    found.append(("--undo beside it", "middle", export_and_undo))
    return [
        Scenario(TAGS, f"export-tags, {fault}", moment, disturb, pictures_differ) for fault, moment, disturb in found
    ]


def all_scenarios() -> list[Scenario]:
    """The whole list, cheap ones first within a step."""
    found = []
    for step in ALL:
        for victim in KILLS:
            fault = f"SIGKILL of {'an' if victim == 'executor' else 'a'} {victim}"
            found += [Scenario(step, fault, moment, kill_part(victim)) for moment in TRIGGERS]
        found.append(Scenario(step, "a tenth of all requests fail", "-", storm))
        found += [Scenario(step, "SIGKILL of the driver", moment, kill_driver) for moment in TRIGGERS]
    found.append(Scenario(TEXT, "the store is down", "-", outage))
    for step in ALL:
        found += [Scenario(step, "clean beside it", moment, clean_beside) for moment in ("first shard", "commit")]
    found.append(Scenario(INDEX, "--overwrite under a server", "-", rebuild_beside_a_server))
    found += [
        Scenario(INDEX, "migrate-index, SIGKILL of its driver", moment, migrate_and_kill)
        for moment in ("first shard", "commit")
    ]
    found.append(Scenario(INDEX, "migrate-index under a server, and back", "-", migrate_beside_a_server))
    found += exports()
    found += [Scenario(step, "two drivers at once, the same options", "-", two_drivers) for step in ALL]
    found += [Scenario(step, "two drivers at once, --overwrite", "-", overwrite_beside) for step in ALL]
    found.append(Scenario(TEXT, "two drivers at once, other options", "-", two_plans))
    found += [Scenario(TEXT, "stale listings", "-", stale_listings), Scenario(TEXT, "slow answers", "-", slow_bodies)]
    for step in (TEXT, IMAGES):
        found.append(Scenario(step, "a record kills the process", "-", poison, only_poison_is_missing))
    for step in (COUNT, TEXT):
        found.append(Scenario(step, "a straggler, with speculation", "-", straggler))
        found.append(Scenario(step, "a worker is decommissioned", "middle", decommission))
        found.append(Scenario(step, "a full disk on a worker", "-", full_disk))
    found.append(Scenario(TEXT, "a worker joins late", "-", late_worker))
    for step in (COUNT, TEXT, INDEX):
        found.append(Scenario(step, "none: no process, thread or port is left", "-", nothing_outlives))
    return found
