"""What the driver costs with very many shards or files: time and memory of plan, resume, commit and listing.

    python scripts/simulate_scale.py --shards 1000 10000 100000              # local disk
    python scripts/simulate_scale.py --shards 1000 10000 --at s3://bucket/x  # an object store
    python scripts/simulate_scale.py --files 100000 1000000                  # listing and planning of pictures
    python scripts/simulate_scale.py --leftovers 100000 1000000              # finding and deleting what jobs left

Nothing is encoded: the receipts and the files they name are written directly, each measurement in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from clip_spark import storage
from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.commands.leftovers import Leftover
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.receipt import Receipt, shard_name
from clip_spark.datasets.run import begin_run
from clip_spark.pictures.find import find_pictures, plan_shards
from clip_spark.runtime.session import session_source
from clip_spark.runtime.tasks import read_on_executors
from clip_spark.storage import list_files

FOLDERS = ("embeddings", "records")
WRITERS, PUT_THREADS = 2, 16
MASTER = "local[2]"
"""The executors that read very many receipts; their CPU is not in the figures, but it is on the same cores."""


def plan_of(shards: int) -> Plan:
    """A plan like that of embed-text."""
    return Plan("embeddings", {"spec": "Simulated"}, {"records": {"uri": "r", "fingerprint": "f"}}, shards)


def receipt_of(shard: int, plan: str) -> Receipt:
    """A receipt as embed-text makes it."""
    files = {f"{folder}/{shard_name(shard)}.parquet": 1 for folder in FOLDERS}
    seconds = {"read": 1.25, "tokenize": 2.5, "encode": 30.125, "write": 0.75}
    return Receipt(shard, plan, 50_000, files, f"{shard:032x}", {"empty": 3}, seconds, {"tokens": 400_000.0})


def write_some(output: str, numbers: range, plan: str) -> None:
    """Shards and receipts without sync or temporary names: this is not what is measured."""
    if storage.is_local(output):
        for shard in numbers:
            write_one(output, shard, plan)
        return
    with ThreadPoolExecutor(PUT_THREADS) as pool:
        list(pool.map(lambda shard: write_one(output, shard, plan), numbers))


def write_one(output: str, shard: int, plan: str) -> None:
    """The files of one shard."""
    receipt = receipt_of(shard, plan)
    contents = dict.fromkeys(receipt.files, b"x")
    contents[f"receipts/{shard_name(shard)}.json"] = json.dumps(receipt.to_json()).encode()
    for path, content in contents.items():
        place = storage.join(output, path)
        if storage.is_local(output):
            Path(place).write_bytes(content)
        else:
            storage.write_bytes(place, content)


def prepare(output: str, shards: int) -> None:
    """A run whose tasks have all ended, before its commit."""
    plan = plan_of(shards)
    begin_run(output, plan, overwrite=False)
    if storage.is_local(output):
        for folder in (*FOLDERS, "receipts"):
            Path(output, folder).mkdir()
    step = max(1, shards // (WRITERS * 50))
    with ProcessPoolExecutor(WRITERS, multiprocessing.get_context("spawn")) as pool:
        tasks = [
            pool.submit(write_some, output, range(start, min(start + step, shards)), plan.fingerprint)
            for start in range(0, shards, step)
        ]
        for task in tasks:
            task.result()


def cpu_seconds() -> float:
    """Of this process and the ones that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def timed(what: str, work: Callable[[], Any], figures: dict[str, Any]) -> Any:
    """Run; note seconds, and the peak of the process's memory so far."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    value = work()
    figures[f"{what} s"] = round(time.perf_counter() - wall, 2)
    figures[f"{what} cpu s"] = round(cpu_seconds() - cpu, 2)
    figures[f"{what} peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return value


def measure_shards(output: str, shards: int) -> dict[str, Any]:
    """Resume, commit and read back; the last as another process would, so its memory comes on top here."""
    figures: dict[str, Any] = {"shards": shards, "start MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
    read = read_on_executors(session_source("simulate", MASTER))
    run = timed("begin", lambda: begin_run(output, plan_of(shards), overwrite=False, read=read), figures)
    assert timed("resume", run.pending, figures) == []
    timed("commit", run.commit, figures)
    manifest: Manifest = timed("read", lambda: read_manifest(output), figures)
    assert manifest.rows == 50_000 * shards
    parts = [file.bytes for file in list_files(storage.join(output, "manifest"))]
    figures["manifest MB"] = round((storage.file_size(storage.join(output, "manifest.json")) + sum(parts)) / 1e6, 1)
    return figures


def make_files(folder: str, count: int) -> None:
    """Empty files in folders of 1,000."""
    for start in range(0, count, 1000):
        place = Path(folder, f"{start // 1000:06d}")
        place.mkdir(parents=True)
        for number in range(start, min(start + 1000, count)):
            os.close(os.open(place / f"{number:08d}.png", os.O_CREAT))


def measure_files(folder: str, count: int) -> dict[str, Any]:
    """List and plan them as embed-images does, and pickle the plan's items as Spark gets them."""
    figures: dict[str, Any] = {"files": count, "start MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
    found = timed("list", lambda: find_pictures((folder,)), figures)
    shards = timed("plan", lambda: plan_shards(found, 0), figures)
    packed = timed("pickle", lambda: sum(len(pickle.dumps(shard)) for shard in shards), figures)
    assert sum(len(shard.part.files) for shard in shards) == count
    return {**figures, "tasks": len(shards), "pickled MB": round(packed / 1e6, 1)}


def make_leftovers(folder: str, count: int) -> None:
    """Half temporary files of killed writers, half shards of a run that never ended, in folders of 1,000."""
    begin_run(storage.join(folder, "run"), plan_of(count), overwrite=False)
    for start in range(0, count, 1000):
        for kind in ("embeddings", f"receipts/{start // 1000:06d}"):
            Path(folder, "run", kind).mkdir(parents=True, exist_ok=True)
        for number in range(start, min(start + 1000, count), 2):
            shard = Path(folder, "run", "embeddings", f"{shard_name(number)}.parquet")
            temporary = Path(folder, "run", "receipts", f"{start // 1000:06d}", f".{number}.json.{number:032x}.tmp")
            for path in (shard, temporary):
                os.close(os.open(path, os.O_CREAT))


def measure_leftovers(folder: str, count: int) -> dict[str, Any]:
    """Find all, then find and delete all."""
    figures: dict[str, Any] = {
        "leftovers": count,
        "start MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }

    def every() -> Iterator[Leftover]:
        return find_leftovers(folder, older_than_hours=0, unfinished=True)

    found = timed("find", lambda: sum(1 for _ in every()), figures)
    deleted = timed("delete", lambda: sum(1 for _ in delete_each(every())), figures)
    assert found == deleted == count // 2 + 1 and not list(every())
    return figures


KINDS = {
    "shards": (prepare, measure_shards),
    "files": (make_files, measure_files),
    "leftovers": (make_leftovers, measure_leftovers),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure each size in a new process; one JSON line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, nargs="*", default=[])
    parser.add_argument("--files", type=int, nargs="*", default=[])
    parser.add_argument("--leftovers", type=int, nargs="*", default=[])
    parser.add_argument("--at", default="", help="folder (URI); default: a temporary one")
    parser.add_argument("--one", nargs=3, metavar=("WHAT", "COUNT", "PLACE"), help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.one:
        what, count, place = given.one[0], int(given.one[1]), given.one[2]
        print(json.dumps(KINDS[what][1](place, count)), flush=True)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        for what, (make, _) in KINDS.items():
            for count in getattr(given, what):
                place = storage.join(given.at or scratch, f"{what}-{count}")
                make(place, count)
                subprocess.run([sys.executable, __file__, "--one", what, str(count), place], check=True)
                storage.remove_tree(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
