"""Two commands at once on one folder: one finishes, the other says in a sentence why not, and what is left is whole."""

from __future__ import annotations

import json
import os
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.errors import ClipSparkError
from tests.faults.bench import Bench
from tests.services.processes import start, stop, wait_until

if TYPE_CHECKING:
    from tests.faults.scenarios import Scenario

TAKEN_UP = "is served in place of"


def clean_beside(running: Bench, scenario: Scenario, output: str) -> str:
    """At a moment of the run, all that nobody has committed is deleted, however young it is; then the run again."""

    def clean() -> int:
        return len(list(delete_each(find_leftovers(output, older_than_hours=0, unfinished=True))))

    said = ", it went on"
    with running.when(scenario.moment, output, clean) as happened:
        try:
            running.run(scenario.step, output)
        except ClipSparkError as error:
            said = f", stopped ({type(error).__name__}), run again"
    assert happened and happened[0] != "0", f"nothing was deleted: {happened}"
    running.run(scenario.step, output)
    return said


def overwrite_beside(running: Bench, scenario: Scenario, output: str) -> str:
    """Two drivers replace one finished dataset at the same time."""
    running.run(scenario.step, output)
    again = replace(scenario.step, options={**scenario.step.options, "overwrite": "true"})
    other = running.submit(again, output)
    said = "this one won"
    try:
        running.run(again, output)
    except ClipSparkError as error:
        assert "another writer was quicker" in str(error), f"not a clear loser: {error}"
        said = "this one lost"
    words, _ = other.communicate(timeout=running.driver_seconds)
    assert other.returncode in (0, 2), words[-800:]
    assert (said == "this one won") or other.returncode == 0, f"both lost: {words[-800:]}"
    return f", {said}, the other ended with {other.returncode}"


def rebuild_beside_a_server(running: Bench, scenario: Scenario, output: str) -> str:
    """An index is replaced, and the files before it deleted at once, while a server answers from it."""
    running.run(scenario.step, output)
    with under_a_server(running, output) as server:
        running.run(replace(scenario.step, options={**scenario.step.options, "overwrite": "true"}), output)
        wait_until("the new generation being served", server.has_taken_up, running.driver_seconds)
    return f", {server.asked.answers} queries answered"


@dataclass(frozen=True)
class Server:
    """A server that is asked all the time: where it is, its log, and what became of the queries."""

    url: str
    log: Path
    asked: Asked

    def has_taken_up(self) -> bool:
        """True once it has taken up a new generation."""
        return TAKEN_UP in self.log.read_text()

    def model(self) -> str:
        """What it says that it answers by."""
        with urllib.request.urlopen(f"{self.url}/card", timeout=60) as answer:
            return str(json.load(answer)["model"])


@contextmanager
def under_a_server(running: Bench, output: str) -> Iterator[Server]:
    """Serve an index for the block, and ask it; what is replaced meanwhile is deleted at once. No query may fail."""
    log = running.folder / "serve.log"
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "clip_spark.jobs.serve", "--index", f"words={output}", "--port", "0", "--json"]
    process = start(command, log, dict(os.environ))
    try:
        url = address(log, running.driver_seconds)
        with asked_all_the_time(url) as asked, no_grace():
            yield Server(url, log, asked)
            enough = asked.answers + 20
            wait_until("more answers", lambda: asked.answers >= enough or bool(asked.failures), running.driver_seconds)
    finally:
        stop(process)
    assert not asked.failures, f"{len(asked.failures)} of {asked.answers} queries failed, such as {asked.failures[0]}"


@dataclass
class Asked:
    """What became of the queries of one block."""

    answers: int = 0
    failures: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def go_on(self, url: str) -> None:
        """One query after the other, until it is over."""
        while not self.over.wait(0.05):
            try:
                with urllib.request.urlopen(f"{url}/search?q=red&k=5", timeout=60) as answer:
                    hits = json.load(answer)["hits"]
                if len(hits) != 5:
                    self.failures.append(f"{len(hits)} hits")
                self.answers += 1
            except OSError as error:
                self.failures.append(str(error))


@contextmanager
def asked_all_the_time(url: str) -> Iterator[Asked]:
    """Ask the server at an address in a thread, and wait for the first answers."""
    asked = Asked()
    thread = threading.Thread(target=asked.go_on, args=(url,))
    thread.start()
    try:
        wait_until("the first answers", lambda: asked.answers >= 3 or bool(asked.failures), 120)
        yield asked
    finally:
        asked.over.set()
        thread.join()


@contextmanager
def no_grace() -> Iterator[None]:
    """What is replaced is deleted by the commit that replaces it."""
    os.environ["CLIP_SPARK_GRACE_HOURS"] = "0"
    try:
        yield
    finally:
        del os.environ["CLIP_SPARK_GRACE_HOURS"]


def address(log: Path, seconds: float) -> str:
    """Where a server says that it is."""

    def said() -> list[str]:
        lines = log.read_text().splitlines() if log.exists() else []
        return [json.loads(line)["url"] for line in lines if line.startswith('{"event": "ready"')]

    wait_until("the server being ready", lambda: bool(said()), seconds)
    return said()[0].rstrip("/")
