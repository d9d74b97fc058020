"""How long small jobs take from the shell, ours beside another checkout of clip-spark, in turn.

    python scripts/bench_start.py --other ../before --json start.json

The other checkout runs by the same packages. Each round runs every job once with each; the first only warms the cache
(measured precisions, the numpy text tower) and is not counted. Seconds by the clock say little on a machine with other
work; CPU seconds are of all processes of the job, Spark's too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from scripts.bench_ngrams import Usage  # noqa: E402

CLI = "import sys; from jobs.cli import main; sys.exit(main(sys.argv[1:]))"
PICTURES = 73
JOBS = ("search", "embed-images", "demo")
Arguments = Callable[[Path], list[str]]


def some_pictures(folder: Path) -> Path:
    """The first of the demo's pictures as single files."""
    folder.mkdir()
    with tarfile.open(ROOT / "clip_spark/demo/pictures/00000.tar") as archive:
        names = [name for name in archive.getnames() if name.endswith(".png")][:PICTURES]
        for name in names:
            member = archive.extractfile(name)
            (folder / Path(name).name).write_bytes(member.read() if member else b"")
    return folder


def run(checkout: Path, arguments: Sequence[str], cache: Path) -> dict[str, float]:
    """One job's seconds by the clock and of CPU; raises CalledProcessError if it fails."""
    settings = {**os.environ, "PYTHONPATH": str(checkout), "CLIP_SPARK_CACHE": str(cache)}
    command = [sys.executable, "-c", CLI, *arguments]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=checkout, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    usage = Usage(process.pid)
    _, said = process.communicate()
    seconds = time.perf_counter() - start
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=said)
    return {"seconds": round(seconds, 2), "cpu_seconds": usage.stop()["cpu_seconds"]}


def jobs(work: Path) -> dict[str, Arguments]:
    """What each job is asked for, given a folder for what it writes."""
    pictures = str(some_pictures(work / "pictures"))
    index = str(work / "ready" / "image-index")
    return {
        "search": lambda out: ["search", "--index", index, "--text", "a dog", "--no-server"],
        "embed-images": lambda out: ["embed-images", "--images", pictures, "--output", str(out)],
        "demo": lambda out: ["demo", "--work", str(out)],
    }


def measure(checkouts: dict[str, Path], wanted: Sequence[str], rounds: int, work: Path) -> dict[str, Any]:
    """Job -> checkout -> its runs, in the order in which they were made."""
    asked, found = jobs(work), {job: {name: [] for name in checkouts} for job in wanted}
    if "search" in wanted:
        run(ROOT, ["demo", "--work", str(work / "ready")], work / "cache")
    for number in range(rounds + 1):
        for job in wanted:
            for name, checkout in checkouts.items():
                out = work / f"{job}-{name}-{number}"
                taken = run(checkout, asked[job](out), work / "cache")
                shutil.rmtree(out, ignore_errors=True)
                if number:
                    found[job][name].append(taken)
                    print(
                        f"round {number}: {job}, {name}: {taken['seconds']} s, {taken['cpu_seconds']} s of CPU",
                        flush=True,
                    )
    return found


def medians(found: dict[str, Any]) -> list[str]:
    """A line for each job: ours, the other, and the ratio."""
    lines = []
    for job, runs in found.items():
        for kind in ("seconds", "cpu_seconds"):
            middle = {name: statistics.median(taken[kind] for taken in each) for name, each in runs.items()}
            ratio = f", {middle['ours'] / middle['other']:.2f} of it" if "other" in middle else ""
            lines.append(f"{job}, {kind}: " + ", ".join(f"{name} {value}" for name, value in middle.items()) + ratio)
    return lines


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other", type=Path, help="another checkout, such as the one before a change")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", default=",".join(JOBS), help="some of " + ", ".join(JOBS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    checkouts = {"ours": ROOT, **({"other": options.other.resolve()} if options.other else {})}
    with tempfile.TemporaryDirectory() as folder:
        found = measure(checkouts, options.jobs.split(","), options.rounds, Path(folder))
    print("\n".join(medians(found)))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
