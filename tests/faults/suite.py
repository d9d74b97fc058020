"""Runs every fault, compares with the undisturbed result, and writes the table of docs/faults.md.

python -m tests.faults.suite --quick                   # a few minutes; part of `make test`
python -m tests.faults.suite --write docs/faults.md    # all; `make fault-suite`
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.bench import BASE, Bench, bench
from tests.faults.scenarios import Outcome, Scenario, all_scenarios, run_scenario
from tests.faults.steps import STEPS

QUICK = (
    "embed-text: SIGKILL of a Python worker, middle",
    "count-ngrams: SIGKILL of an executor, first shard",
    "embed-text: SIGKILL of the driver, middle",
    "embed-text: a tenth of all requests fail",
    "embed-text: two drivers at once, the same options",
)


def undisturbed(running: Bench) -> None:
    """Make every dataset once; the first run also starts the executors, so it is not timed."""
    running.run(STEPS[0], f"{BASE}-warm/{STEPS[0].dataset}")
    for step in STEPS:
        running.seconds[step.command] = running.run(step, f"{BASE}/{step.dataset}")
        say(f"undisturbed {step.command}: {running.seconds[step.command]:.1f} s")


def say(text: str) -> None:
    """A line on stderr with the time."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def table(outcomes: Sequence[Outcome], versions: str) -> str:
    """docs/faults.md."""
    lines = [
        "# What breaks, and what then happens",
        "",
        "Written by `make fault-suite` on a standalone cluster (two Spark workers of one core on loopback) against a",
        f"real S3 server behind a fault-injecting proxy; {versions}. Each result is compared with an undisturbed",
        "one: rows, rejects, ids in order, counts and tags equal, vectors equal within 1e-5, index positions complete",
        "and unique. The moment of a fault is exact: the proxy holds the request that marks it (first shard: the first",
        "data file is being put; middle: the second receipt; commit: manifest.json). *Time lost* is the disturbed run",
        "and, where one was needed, the same command again (with its start), less the undisturbed run.",
        "",
        "| step | fault | moment | survived | records lost | time lost | left behind |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in outcomes:
        s = one.scenario
        lines.append(
            f"| {s.step.command} | {s.fault} | {s.moment} | {one.verdict} | {one.lost} | "
            f"{one.seconds_lost:.0f} s | {one.left_behind} |"
        )
    passed = sum(one.passed for one in outcomes)
    return "\n".join([*lines, "", f"{passed} of {len(outcomes)} passed.", ""])


def run_all(running: Bench, scenarios: Sequence[Scenario]) -> list[Outcome]:
    """One after the other."""
    outcomes = []
    for number, scenario in enumerate(scenarios, 1):
        outcome = run_scenario(running, scenario, f"{BASE}-faults/{number}")
        say(f"{number}/{len(scenarios)} {scenario.name}: {outcome.verdict} (+{outcome.seconds_lost:.0f} s)")
        outcomes.append(outcome)
    return outcomes


def main(argv: Sequence[str] | None = None) -> int:
    """Run, write, return 0 if every scenario passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few scenarios")
    parser.add_argument("--only", default="", help="scenarios whose name holds this text")
    parser.add_argument("--write", type=Path, help="file for the table")
    given = parser.parse_args(argv)
    scenarios = [s for s in all_scenarios() if given.only in s.name and (not given.quick or s.name in QUICK)]
    import pyspark

    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as running:
        undisturbed(running)
        outcomes = run_all(running, scenarios)
        from pyspark.sql import SparkSession

        SparkSession.builder.getOrCreate().stop()
    if given.write:
        given.write.write_text(table(outcomes, f"Spark {pyspark.__version__}, {os.cpu_count()} cores"))
    failed = [one for one in outcomes if not one.passed]
    say(f"{len(outcomes) - len(failed)} of {len(outcomes)} passed" + "".join(f"; {o.scenario.name}" for o in failed))
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
