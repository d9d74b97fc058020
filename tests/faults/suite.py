"""Runs every fault, compares with the undisturbed result, and writes the table of docs/faults.md.

python -m tests.faults.suite --quick                   # part of `make test`
python -m tests.faults.suite --write docs/faults.md    # all; `make fault-suite`
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.bench import BASE, Bench, bench, stop_application
from tests.faults.scenarios import Outcome, Scenario, all_scenarios, run_scenario
from tests.faults.steps import STEPS

QUICK = ("count-ngrams: SIGKILL of a Python worker, middle", "count-ngrams: SIGKILL of the driver, middle")
"""Of a step that needs no other's datasets, and whose workers start in a moment."""


def undisturbed(running: Bench, steps: set[str], timed: bool) -> None:
    """Make every dataset that some steps need once, then time those with warm executors if that is wanted."""
    last = max(number for number, step in enumerate(STEPS) if step.command in steps)
    for step in STEPS[: last + 1]:
        running.seconds[step.command] = running.run(step, f"{BASE}/{step.dataset}")
    for step in (step for step in STEPS if timed and step.command in steps):
        running.seconds[step.command] = running.run(step, f"{BASE}-again/{step.dataset}")
        say(f"undisturbed {step.command}: {running.seconds[step.command]:.1f} s")


def say(text: str) -> None:
    """A line on stderr with the time."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


HEAD = """# What breaks, and what then happens

Written by `make fault-suite` on a standalone cluster (two Spark workers of one core on loopback) against a real S3
server behind a fault-injecting proxy. Each result is compared with that of an undisturbed run: rows and rejected lines,
totals and the rest of the manifest, the report without its times, ids in order, counts and tags equal, vectors equal
within 1e-5, index positions complete and unique. The moment of a fault is exact: the proxy holds the request that marks
it (first shard: the first data file is being put; middle: that of the second shard, or the second part of an index;
commit: manifest.json). *Time lost* is the disturbed run and, where one was
needed, the same command again, less the undisturbed run; the rows from "stale listings" on may include the start of an
application or of a worker. *Left behind* counts what `clip-spark clean` would find.

A record that kills the process is known from the second try of its shard on: there, pictures are decoded and texts are
split into tokens in a child process, and a record that ends two of them is rejected (`kills the process`). Records
lost are those that are neither in the result nor among its rejects.

"Clean beside it" deletes at the moment all that nobody has committed, however young. "Under a server" asks a server all
the time while its index is replaced and the files before it are deleted at once. export-tags makes no dataset: in the
end each of 48 pictures has its tags beside it and is as it was, and `--undo` gives the folder back to the byte. A line
stays until its scenario is run again.
"""
COLUMNS = "| step | fault | moment | survived | records lost | time lost | left behind | Spark |"


def row_of(outcome: Outcome, version: str) -> str:
    """One line of the table."""
    s = outcome.scenario
    cells = (s.step.command, s.fault, s.moment, outcome.verdict, outcome.lost, f"{outcome.seconds_lost:.0f} s",
             outcome.left_behind, version)  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def write_table(place: Path, outcomes: Sequence[Outcome], version: str) -> None:
    """Write docs/faults.md; lines of scenarios that were not run this time stay as they were."""
    old = place.read_text().splitlines() if place.exists() else []
    rows = {key_of(line): line for line in old if line.startswith("| ") and line != COLUMNS}
    rows |= {key_of(line): line for line in (row_of(one, version) for one in outcomes)}
    order = [(s.step.command, s.fault, s.moment) for s in all_scenarios()]
    lines = [rows[key] for key in order if key in rows]
    survived = sum(line.split(" | ")[3].startswith("yes") for line in lines)
    last = f"{survived} of {len(lines)} survived."
    if len(lines) < len(order):
        last += f" {len(order) - len(lines)} more scenarios of the suite have not been run yet."
    place.write_text("\n".join([HEAD, COLUMNS, "|---" * 8 + "|", *lines, "", last, ""]))


def key_of(line: str) -> tuple[str, ...]:
    """What names a scenario in a line of the table."""
    return tuple(line.strip("| ").split(" | ")[:3])


def run_all(running: Bench, scenarios: Sequence[Scenario], place: Path | None) -> list[Outcome]:
    """One after the other; the table is written after each, so that an interrupted suite has told what it knows."""
    import pyspark

    outcomes = []
    for number, scenario in enumerate(scenarios, 1):
        outcome = run_scenario(running, scenario, f"{BASE}-faults/{number}")
        say(f"{number}/{len(scenarios)} {scenario.name}: {outcome.verdict} (+{outcome.seconds_lost:.0f} s)")
        outcomes.append(outcome)
        if place:
            write_table(place, outcomes, pyspark.__version__)
    return outcomes


def is_wanted(scenario: Scenario, only: Sequence[str]) -> bool:
    """Whether all texts of one of the choices are in its name; no choice means all."""
    return not only or any(all(text in scenario.name for text in choice.split(",")) for choice in only)


def main(argv: Sequence[str] | None = None) -> int:
    """Run, write, return 0 if every scenario passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few scenarios")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT,TEXT", help="scenarios whose names hold all; repeatable"
    )
    parser.add_argument("--write", type=Path, help="file for the table")
    given = parser.parse_args(argv)
    scenarios = [s for s in all_scenarios() if is_wanted(s, given.only) and (not given.quick or s.name in QUICK)]
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as running:
        undisturbed(running, {scenario.step.command for scenario in scenarios}, timed=not given.quick)
        outcomes = run_all(running, scenarios, given.write)
        stop_application()
    failed = [one for one in outcomes if not one.passed]
    say(f"{len(outcomes) - len(failed)} of {len(outcomes)} passed" + "".join(f"; {o.scenario.name}" for o in failed))
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
