"""migrate-index whose driver is killed, and under a server; the way back ends at what there was."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from clip_spark.analysis.migrate.spec import MigrateSpec
from clip_spark.analysis.migrate.step import migrate_index
from clip_spark.index.files.layout import read_index
from tests.faults.bench import Bench
from tests.faults.pairs import under_a_server
from tests.helpers_models import small_model
from tests.services.processes import wait_until

if TYPE_CHECKING:
    from tests.faults.scenarios import Scenario

MOST_KILLS = 3


def migrate_and_kill(running: Bench, scenario: Scenario, output: str) -> str:
    """SIGKILL of the driver at a moment, each time that it comes; then the command to its end, and back."""
    running.run(scenario.step, output)
    kills = 0
    while kills < MOST_KILLS and _killed(running, scenario.moment, output):
        kills += 1
    assert kills, "the fault did not happen"
    if read_index(output)[1].encoder["model"] != _model(running):
        running.submitter.run("migrate-index", *_arguments(running, output), timeout=running.driver_seconds)
    assert read_index(output)[1].encoder["model"] == _model(running)
    _back(output)
    return f", {kills} kills, run again, and back"


def migrate_beside_a_server(running: Bench, scenario: Scenario, output: str) -> str:
    """A server answers by one model, by the other, and by the first again."""
    running.run(scenario.step, output)
    first, second = read_index(output)[1].encoder["model"], _model(running)
    with under_a_server(running, output) as server:
        running.submitter.run("migrate-index", *_arguments(running, output), timeout=running.driver_seconds)
        wait_until("the second model being served", lambda: server.model() == second, running.driver_seconds)
        _back(output)
        wait_until("the first model being served", lambda: server.model() == first, running.driver_seconds)
    return f", {server.asked.answers} queries answered"


def _killed(running: Bench, moment: str, output: str) -> bool:
    """True if the moment came, and the driver was killed at it."""
    started: list[subprocess.Popen[str]] = []
    with running.when(moment, output, lambda: os.killpg(started[0].pid, signal.SIGKILL) or 1) as happened:
        started.append(running.submitter.start("migrate-index", *_arguments(running, output)))
        started[0].communicate(timeout=running.driver_seconds)
    return bool(happened)


def _back(output: str) -> None:
    found = migrate_index(_no_session, MigrateSpec(index=output, rollback=True))
    assert "again" in found.said, found.said


def _no_session() -> None:
    raise AssertionError("a switch needs no session")


def _model(running: Bench) -> str:
    folder = running.folder / "model"
    return f"local-dir:{folder if folder.exists() else small_model(folder)}"


def _arguments(running: Bench, output: str) -> list[str]:
    places = ["--index", output, "--output", f"{output}-new", "--model", _model(running)]
    return [*places, "--text-column", "text", "--sample", "50", "--switch"]
