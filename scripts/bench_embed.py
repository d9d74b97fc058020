"""Run a whole encoding job in local mode: what Spark, Arrow and parquet cost beside the encoder, and how memory grows.

    python scripts/bench_embed.py --tasks 2 --json job.json -- embed-text --records DATASET --output OUT \
        --model ViT-B-32:/path/weights.pt --precision fp32 --master 'local[2]'

The encoder's own rate is that of the same run: its rows over the seconds that the tasks spent in forward passes
and waiting for tokens or pictures. The job's is over all its seconds, Spark's start and the loading of the model among
them; `running` leaves out what comes before the first shard's first row.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PERIOD = 2.0
ENCODING = ("forward", "wait")


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=2, help="tasks that run at the same time")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("job", nargs="+", help="the command and its options, after --")
    options = parser.parse_args()
    seconds, memory = watch(options.job)
    output = Path(options.job[options.job.index("--output") + 1])
    figures = {**rates(json.loads((output / "report.json").read_text()), seconds, options.tasks), "memory_mb": memory}
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    return 0


def watch(job: list[str]) -> tuple[float, dict[int, dict[str, float]]]:
    """Run the command; its seconds, and the resident memory of each Python worker over time."""
    start, samples = time.perf_counter(), dict[int, list[float]]()
    code = "import sys; from clip_spark.jobs.cli import main; sys.exit(main())"
    run = subprocess.Popen([sys.executable, "-c", code, *job], cwd=ROOT)
    while run.poll() is None:
        time.sleep(PERIOD)
        for pid in workers(run.pid):
            samples.setdefault(pid, []).append(resident_mb(pid))
    if run.returncode:
        raise SystemExit(run.returncode)
    return time.perf_counter() - start, {pid: course(values) for pid, values in samples.items() if len(values) > 10}


def workers(root: int) -> list[int]:
    """Processes below `root` that are forks of Spark's Python daemon."""
    return [pid for pid in below(root) if b"pyspark.daemon" in read(pid, "cmdline") and not read(pid, "children")]


def below(pid: int) -> list[int]:
    """All processes that descend from one."""
    children = [int(child) for child in read(pid, "children").split()]
    return children + [further for child in children for further in below(child)]


def read(pid: int, name: str) -> bytes:
    """A file of /proc; nothing once the process has ended."""
    folder = Path(f"/proc/{pid}")
    try:
        if name == "children":
            return b" ".join((task / "children").read_bytes() for task in (folder / "task").iterdir()).strip()
        return (folder / name).read_bytes()
    except OSError:
        return b""


def resident_mb(pid: int) -> float:
    """Resident memory."""
    fields = read(pid, "statm").split()
    return int(fields[1]) * 4096 / 1e6 if fields else 0.0


def course(values: list[float]) -> dict[str, float]:
    """Memory at a quarter of the run (everything is loaded), halfway, near the end, and the most."""
    places = {"quarter": len(values) // 4, "half": len(values) // 2, "end": len(values) - 3}
    return {**{name: round(values[place]) for name, place in places.items()}, "most": round(max(values))}


def rates(report: dict[str, Any], seconds: float, tasks: int) -> dict[str, Any]:
    """Rows per second of the job and of its encoder."""
    rows, stages = report["rows_out"], report["seconds_by_stage"]
    encoding = sum(stages.get(stage, 0.0) for stage in ENCODING) / tasks
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "job_per_second": round(rows / seconds, 1),
        "running_per_second": round(rows * tasks / stages["task"], 1),
        "encoder_per_second": round(rows / encoding, 1),
        "job_over_encoder": round(encoding / seconds, 3),
        "running_over_encoder": round(encoding * tasks / stages["task"], 3),
        "seconds_by_stage": stages,
    }


if __name__ == "__main__":
    raise SystemExit(main())
