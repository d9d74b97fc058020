"""Weak scaling: n executors of one core each, and n times the input. Ideal is the same time for every n.

    python scripts/make_bench_corpus.py bench-corpus/
    python scripts/bench_scaling.py bench-corpus/ --executors 1 2 --json scaling.json

Each n has a standalone cluster of its own on this machine; n must be at most the number of cores. Timed is the step
alone, from the plan to the manifest, after a small run that starts the Python workers and loads the model.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clip_spark.commands.options import make_spec
from clip_spark.commands.registry import STEPS as REGISTERED
from clip_spark.runtime.session import SessionSource, session_source
from scripts.standalone import standalone_cluster

SETTINGS = {
    "spark.executor.memory": "1g",
    "spark.executor.cores": "1",
    "spark.driver.memory": "1g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
}
STEPS = ("count-ngrams", "embed-text")


def run(command: str, source: SessionSource, **options: object) -> float:
    """Seconds of one step."""
    step = REGISTERED[command]
    spec = make_spec(step.spec_class, {key.replace("_", "-"): str(value) for key, value in options.items()})
    started = time.perf_counter()
    step.run(source, spec)
    return time.perf_counter() - started


def cut_corpus(corpus: Path, folder: Path, parts: int, size: int) -> None:
    """Write `parts` files of `size` bytes each, cut at line ends."""
    folder.mkdir(parents=True)
    lines = (line for file in sorted(corpus.glob("*.txt")) for line in file.open("rb"))
    for part in range(parts):
        written = 0
        with (folder / f"part-{part}.txt").open("wb") as out:
            while written < size and (line := next(lines, b"")):
                written += out.write(line)
        if written < size:
            raise SystemExit(f"{corpus} holds less than {parts} times {size} bytes")


def measure(executors: int, given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Median seconds of both steps on so many executors, each with its share of input."""
    place = work / str(executors)
    corpus = ",".join(str(work / "corpus" / f"part-{part}.txt") for part in range(executors))
    with standalone_cluster(place / "cluster", workers=executors, cores=1) as cluster:
        source = session_source("clip-spark scaling", cluster.master, SETTINGS)
        run("count-ngrams", source, corpus=work / "corpus" / "part-0.txt", output=place / "counts")
        for name, top in (("small", 500), ("records", executors * given.texts)):
            run("filter-ngrams", source, counts=place / "counts", output=place / name, top=top)
        run("embed-text", source, records=place / "small", output=place / "warm", shard_rows=50)
        seconds: dict[str, list[float]] = {step: [] for step in STEPS}
        for round_ in range(given.rounds):
            seconds["count-ngrams"].append(
                run("count-ngrams", source, corpus=corpus, output=place / f"c{round_}", orders="1,2,3", min_count=3)
            )
            seconds["embed-text"].append(
                run("embed-text", source, records=place / "records", output=place / f"e{round_}", shard_rows=5000)
            )
        source().stop()
    return {"executors": executors, **{step: round(statistics.median(times), 2) for step, times in seconds.items()}}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure each number of executors, print a line of JSON for each, and how the ideal is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--executors", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--mb", type=int, default=30, help="text per executor, in MB")
    parser.add_argument("--texts", type=int, default=40_000, help="texts per executor")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        cut_corpus(given.corpus, work / "corpus", max(given.executors), given.mb * 1_000_000)
        found: list[dict[str, Any]] = []
        for executors in given.executors:
            one = measure(executors, given, work)
            found.append(one)
            one |= {f"{step} efficiency": round(found[0][step] / one[step], 2) for step in STEPS}
            print(json.dumps(one), flush=True)
    if given.json:
        given.json.write_text(json.dumps({"mb": given.mb, "texts": given.texts, "runs": found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
