"""Compare count-ngrams with its peers: same corpus, same cores, alternating; says whether the counts are equal.

    python scripts/make_bench_corpus.py bench-corpus/
    python scripts/bench_ngrams.py bench-corpus/ --peers ours,polars --rounds 3 --json bench.json

Every run is a process of its own. Seconds are of the counting alone, the start of a Spark session is reported apart.
Memory is the peak of the whole process tree (PSS: pages shared by forked workers are counted once). It is watched in
one more round, before the others, whose seconds do not count: adding up the pages of a gigabyte takes 35 ms.
A peer that fails or runs out of time is a row too, and is not asked again.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_ngrams_peers import PEERS
from figures import save_figures

POLL_SECONDS = 0.2


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--peers", default="ours,polars", help=",".join(PEERS))
    parser.add_argument("--orders", default="1,2,3")
    parser.add_argument("--min-count", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=1800, help="seconds for one run")
    parser.add_argument("--json", help="file for all measurements")
    parser.add_argument("--one", nargs=2, metavar=("PEER", "OUTPUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    orders = tuple(map(int, options.orders.split(",")))
    if options.one:
        peer, output = options.one
        print("RESULT " + json.dumps(PEERS[peer](options.corpus, output, orders, options.min_count)))
        return 0
    results: list[dict[str, Any]] = []
    for round_ in range(options.rounds + 1):
        lost = {result["peer"] for result in results if "failed" in result}
        results += [measure(peer, options, round_) for peer in options.peers.split(",") if peer not in lost]
    summary = summarise(results)
    if options.json:
        save_figures(options.json, {"summary": summary, "runs": results})
    show(summary)
    return 0


def measure(peer: str, options: argparse.Namespace, round_: int) -> dict[str, Any]:
    """One run of one peer in a process of its own; memory is watched in round 0 only."""
    with tempfile.TemporaryDirectory() as output, tempfile.TemporaryFile("w+") as complaints:
        command = [sys.executable, __file__, options.corpus, "--orders", options.orders]
        command += ["--min-count", str(options.min_count), "--one", peer, output]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, text=True)
        usage = Usage(process.pid) if round_ == 0 else None
        try:
            stdout, _ = process.communicate(timeout=options.limit)
        except subprocess.TimeoutExpired:
            end_tree(process)
            if usage is not None:
                usage.stop()
            return {"peer": peer, "round": round_, "failed": f"not done after {options.limit} s"}
        found = [line[7:] for line in stdout.splitlines() if line.startswith("RESULT ")]
        if process.returncode or not found:
            complaints.seek(0)
            last = (complaints.read().strip().splitlines() or ["no output"])[-1]
            return {"peer": peer, "round": round_, "failed": f"status {process.returncode}: {last[:200]}"}
        result = {"peer": peer, "round": round_, **json.loads(found[0]), **digest(output)}
        if usage is not None:
            del result["seconds"]
            result |= usage.stop()
    print(json.dumps(result), file=sys.stderr)
    return result


def end_tree(root: subprocess.Popen[str]) -> None:
    """Kill a process and all that it has started, and wait until it is gone."""
    import psutil

    process = psutil.Process(root.pid)
    for each in [*process.children(recursive=True), process]:
        with contextlib.suppress(psutil.Error):
            each.kill()
    root.communicate()


class Usage:
    """Peak memory and CPU seconds of a process and everything below it."""

    def __init__(self, pid: int) -> None:
        import psutil

        self._root = psutil.Process(pid)
        self._peak_bytes = self._peak_anonymous = 0
        self._cpu: dict[int, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        import psutil

        while not self._done.wait(POLL_SECONDS):
            total = anonymous = 0
            try:
                tree = [self._root, *self._root.children(recursive=True)]
            except psutil.Error:
                return
            for process in tree:
                try:
                    times = process.cpu_times()
                    self._cpu[process.pid] = times.user + times.system
                    found = pss_bytes(process.pid)
                    total, anonymous = total + found["Pss"], anonymous + found["Pss_Anon"]
                except (psutil.Error, OSError):
                    continue
            self._peak_bytes = max(self._peak_bytes, total)
            self._peak_anonymous = max(self._peak_anonymous, anonymous)

    def stop(self) -> dict[str, float]:
        """What was seen, whole life of the processes (the start of a session too)."""
        self._done.set()
        self._thread.join()
        return {
            "peak_bytes": self._peak_bytes,
            "peak_bytes_without_files": self._peak_anonymous,
            "cpu_seconds": round(sum(self._cpu.values()), 2),
        }


def pss_bytes(pid: int) -> dict[str, int]:
    """Memory of a process, its share of shared pages only: all of it (Pss), and without mapped files (Pss_Anon)."""
    with open(f"/proc/{pid}/smaps_rollup") as stream:
        rows = (line.split() for line in stream if line.startswith(("Pss:", "Pss_Anon:")))
        return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows}


def digest(output: str) -> dict[str, Any]:
    """What was counted: n-grams kept by order, and a checksum over (text, count) that does not depend on row order."""
    import pyarrow.parquet as pq

    kept: dict[int, int] = {}
    checksum = 0
    paths = [path for path in glob.glob(f"{output}/**/*.parquet", recursive=True) if os.path.isfile(path)]
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(columns=["n", "text", "count"]):
            for n, text, count in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                kept[n] = kept.get(n, 0) + 1
                checksum += zlib.crc32(text.encode()) * count
    return {"kept": dict(sorted(kept.items())), "checksum": checksum % 2**61}


def summarise(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians by peer, and ratios to ours."""
    peers: dict[str, list[dict[str, Any]]] = {}
    failed = [result for result in results if "failed" in result]
    lost = {result["peer"] for result in failed}
    for result in results:
        if result["peer"] not in lost:
            peers.setdefault(result["peer"], []).append(result)
    rows = []
    for peer, runs in peers.items():
        row = {
            "peer": peer,
            "runs": sum("seconds" in run for run in runs),
            "kept": runs[-1]["kept"],
            "checksum": runs[-1]["checksum"],
        }
        for name in ("seconds", "session_seconds", "cpu_seconds", "peak_bytes", "shuffle_bytes"):
            values = [run[name] for run in runs if name in run]
            row[name] = statistics.median(values) if values else None
        rows.append(row)
    base = next((row for row in rows if row["peer"] == "ours"), rows[0] if rows else None)
    for row in rows:
        row["times_slower"] = round(row["seconds"] / base["seconds"], 2)
        row["times_memory"] = round(row["peak_bytes"] / base["peak_bytes"], 2)
        row["equal"] = row["checksum"] == base["checksum"]
    return [*rows, *failed]


def show(rows: list[dict[str, Any]]) -> None:
    """The table."""
    print("| peer | runs | seconds | x ours | CPU s | peak MB | x ours | shuffle MB | kept by order | equal |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        if "failed" in row:
            print(f"| {row['peer']} | {row['failed']} |")
            continue
        shuffled = f"{row['shuffle_bytes'] / 1e6:.0f}" if row["shuffle_bytes"] else ""
        cells = [row["peer"], row["runs"], f"{row['seconds']:.1f}", row["times_slower"], f"{row['cpu_seconds']:.0f}"]
        cells += [f"{row['peak_bytes'] / 1e6:.0f}", row["times_memory"], shuffled]
        cells += [", ".join(f"{count:,}" for count in row["kept"].values()), "yes" if row["equal"] else "no"]
        print("| " + " | ".join(map(str, cells)) + " |")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d')}")


if __name__ == "__main__":
    sys.exit(main())
