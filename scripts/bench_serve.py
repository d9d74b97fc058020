"""Compare serve with clip-retrieval 2.45's server: same index file, same weights, same requests, in turn in one run.

    python scripts/bench_serve.py make --work bench/                       # 100,000 vectors of 512 in 1,024 lists
    python scripts/bench_serve.py run --work bench/ --peer-python peer/bin/python --json bench.json
    python scripts/bench_serve.py watch --work bench/                      # what the check of real queries costs, finds
    python scripts/bench_serve.py calibrated --work bench/                 # what the correction for hubs costs

Both are asked in clip-retrieval's wire format for 40 hits with their columns: by an embedding, by a text (each one new,
so that no cache helps), by an embedding without near-duplicates, and for 40 records by id; by 1, 4 and 16 clients. The
clients run on the same cores. Both search as many lists. Then ours alone: /health all the while, 64 clients at once,
and an index that is rebuilt again and again below its visitors. Exit status 1: an answer was wrong or missing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "scripts")]
from figures import save_figures  # noqa: E402
from http_load import Client, Outcome, Request, Watch, post, run_load  # noqa: E402

KEY, HITS, CLIENTS, MANY = "IVF1024,Flat", 40, (1, 4, 16), 64
GOALS = {"embedding": 5.0, "text": 3.0}
"""How many times the other's requests a second ours should answer."""
WORDS = (
    *("red", "vintage", "bicycle", "leaning", "wall", "small", "brown", "dog", "running", "over", "green", "meadow"),
    *("two", "people", "walking", "along", "an", "old", "bridge"),
)


def make(work: Path, rows: int, dim: int = 512) -> None:
    """Weights, an index of ours over vectors like CLIP's, and the same for the other: its file, lists and metadata."""
    import faiss
    import open_clip
    import torch
    from bench_index import faiss_path, make_vectors
    from helpers_embeddings import numbered, write_embeddings

    from clip_spark.encoders import EncoderSpec, load_encoder
    from clip_spark.index.build.build import build_index
    from clip_spark.index.specs import IndexSpec
    from clip_spark.runtime.session import session_source
    from clip_spark.search.searcher import Searcher

    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.save(open_clip.create_model("ViT-B-32").state_dict(), work / "b32.pt")
    encoder = load_encoder(EncoderSpec(f"ViT-B-32:{(work / 'b32.pt').resolve()}", "fp32"), "cpu").info()
    vectors, cross = make_vectors(rows, dim, 2000)
    np.save(work / "queries.npy", cross)
    write_embeddings(work / "embeddings", vectors, numbered(rows), shard_rows=50_000, encoder=encoder)
    write_embeddings(work / "cross", cross, numbered(len(cross)), modality="image", encoder=encoder)
    spec = IndexSpec(
        embeddings=str(work / "embeddings"),
        queries=str(work / "cross"),
        output=str(work / "index"),
        index_key=KEY,
        parts=1,
    )
    searcher = Searcher.open(build_index(session_source("bench"), spec).uri)
    (work / "peer" / "metadata").mkdir(parents=True)
    index = faiss.read_index(faiss_path(searcher))
    faiss.extract_index_ivf(index).nprobe = next(e for e in searcher.info.efforts if e.k >= HITS).settings.nprobe
    faiss.write_index(index, str(work / "peer" / "text.index"))
    _write_metadata(work / "peer" / "metadata" / "0.arrow", searcher)
    (work / "peer.json").write_text(json.dumps({"index": str((work / "peer").resolve())}))


def _write_metadata(path: Path, searcher: Any) -> None:
    import pyarrow as pa

    table = searcher.records.take(np.arange(searcher.info.rows)).rename_columns(["record_id", "caption", "n"])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


@contextmanager
def server(command: list[str], url: str, log: Path) -> Iterator[str]:
    """A server as a process, ended at the end by its own id; the block begins once it answers."""
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 300
        while True:
            try:
                Client(url).ask("GET", "/indices-list")
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit(f"{command[0]} does not serve:\n{log.read_text()[-3000:]}") from None
                time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait(30)


UNWATCHED = "import clip_spark.web.recall_watch as w, clip_spark.jobs.serve as s; w.SHARE = 0.0; s.main()"
"""A server of ours that checks no query."""


def ours(work: Path, *indices: str, code: Sequence[str] = ("-m", "clip_spark.jobs.serve")) -> Any:
    """Our server over indices in the work folder."""
    port = free_port()
    named = [text for name in indices for text in ("--index", f"{name}={work / name}")]
    command = [sys.executable, *code, *named, "--port", str(port)]
    return server(command, f"http://127.0.0.1:{port}", work / f"ours-{port}.log")


def peer(work: Path, python: str) -> Any:
    """clip-retrieval's."""
    port = free_port()
    command = [python, str(ROOT / "scripts" / "bench_serve_peer.py"), str(work / "peer.json"), str(port)]
    return server([*command, str((work / "b32.pt").resolve())], f"http://127.0.0.1:{port}", work / "peer.log")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def workloads(queries: np.ndarray, rows: int) -> dict[str, Callable[[int], Iterator[Request]]]:
    """Name -> the endless requests of one client. Texts are new each time, in every client and round."""
    numbers = itertools.count()

    def knn(**query: Any) -> Request:
        body = {"modality": "text", "indice_name": "index", "num_images": HITS, "num_result_ids": HITS}
        return post("/knn-service", {"deduplicate": False, **body, **query})

    def texts(client: int) -> Iterator[Request]:
        random = np.random.default_rng(next(numbers))
        while True:
            yield knn(text=" ".join(random.choice(WORDS, int(random.integers(2, 9)))) + f" {next(numbers)}")

    def records(client: int) -> Iterator[Request]:
        random = np.random.default_rng(client)
        while True:
            yield post("/metadata", {"ids": random.integers(rows, size=HITS).tolist(), "indice_name": "index"})

    @cache
    def made(deduplicate: bool) -> list[Request]:
        """Written once, for writing numbers costs a client more than the rest of its work."""
        return [knn(embedding_input=row.round(6).tolist(), deduplicate=deduplicate) for row in queries]

    def embeddings(client: int, deduplicate: bool = False) -> Iterator[Request]:
        ready = made(deduplicate)
        return (ready[at % len(ready)] for at in itertools.count(31 * client))

    return {
        "embedding": embeddings,
        "text": texts,
        "dedup": lambda client: embeddings(client, deduplicate=True),
        "record": records,
    }


def answers_all(request: Request, status: int, body: bytes) -> str:
    """Whether an answer of the load is a list with hits."""
    return "" if status == 200 and body[:2] == b"[{" else f"{request[1]}: {status} {body[:200]!r}"


def compare(work: Path, python: str, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """A row for each workload, number of clients, round and server; they take turns."""
    loads = workloads(np.load(work / "queries.npy"), 100_000)
    runs = []
    with ours(work, "index") as our, peer(work, python) as other:
        for number, (name, load), clients in itertools.product(range(rounds), loads.items(), CLIENTS):
            turns = [("ours", our), ("clip-back", other)]
            for engine, url in turns if number % 2 else turns[::-1]:
                run_load(url, clients, seconds / 8, load)  # warm
                with Watch(our) as health:
                    outcome = run_load(url, clients, seconds, load, answers_all)
                row = {"workload": name, "clients": clients, "round": number, "engine": engine, **outcome.figures()}
                runs.append({**row, **({"health": health.outcome.figures()} if engine == "ours" else {})})
                print(json.dumps(runs[-1]), flush=True)
    return runs


def summarise(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians over the rounds, and ours over the other's."""
    table = []
    for name, clients in dict.fromkeys((run["workload"], run["clients"]) for run in runs):
        row: dict[str, Any] = {"workload": name, "clients": clients}
        for engine in ("ours", "clip-back"):
            mine = [r for r in runs if (r["workload"], r["clients"], r["engine"]) == (name, clients, engine)]
            row[engine] = {key: statistics.median(run[key] for run in mine) for key in ("qps", "p50_ms", "p99_ms")}
        row["times"] = round(row["ours"]["qps"] / max(row["clip-back"]["qps"], 1e-9), 2)
        row["goal"] = GOALS.get(name)
        table.append(row)
    return table


def under_load(work: Path, seconds: float) -> dict[str, Any]:
    """64 clients by embedding."""
    load = workloads(np.load(work / "queries.npy"), 100_000)["embedding"]
    with ours(work, "index") as url, Watch(url) as health:
        outcome = run_load(url, MANY, seconds, load, answers_all)
    return {"clients": MANY, **outcome.figures(), "health": health.outcome.figures()}


def hot_switch(work: Path, rebuilds: int, rows: int = 5000) -> dict[str, Any]:
    """Visitors of an index that is rebuilt below them; every answer must come, and come from one generation."""
    from bench_index import make_vectors
    from helpers_embeddings import write_embeddings

    from clip_spark.index.build.build import build_index
    from clip_spark.index.specs import IndexSpec
    from clip_spark.search.searcher import Searcher

    def no_spark() -> Any:
        raise AssertionError("no session is needed here")

    folder = work / "switched"
    shutil.rmtree(folder, ignore_errors=True)
    vectors, cross = make_vectors(rows, 512, 200)
    encoder = dict(Searcher.open(str(work / "index")).info.encoder)
    for name in "ab":
        write_embeddings(folder / name, vectors, [f"{name} {n}" for n in range(rows)], shard_rows=rows, encoder=encoder)

    def build(name: str) -> None:
        build_index(no_spark, IndexSpec(embeddings=str(folder / name), output=str(work / "hot"), overwrite=True))

    def whole(request: Request, status: int, body: bytes) -> str:
        first = {hit["caption"][0] for hit in json.loads(body)} if status == 200 else set()
        seen.update(first)
        return "" if len(first) == 1 else f"{status}: letters {first} {body[:100]!r}"

    seen: set[str] = set()
    queries = workloads(cross, rows)["embedding"]
    requests = lambda client: ((m, p, b.replace(b'"index"', b'"hot"')) for m, p, b in queries(client))  # noqa: E731
    build("a")
    outcome = Outcome()
    with ours(work, "hot") as url, Watch(url) as health:
        for number in range(rebuilds):
            thread = threading.Thread(target=build, args=("ba"[number % 2],))
            thread.start()
            found = run_load(url, 4, 4.0, requests, whole)
            thread.join()
            outcome.ms += found.ms
            outcome.wrong += found.wrong
            outcome.seconds += found.seconds
            for status, count in found.statuses.items():
                outcome.statuses[status] = outcome.statuses.get(status, 0) + count
    generations = {"rebuilds": rebuilds, "generations_seen": len(seen)}
    return {
        **generations,
        **outcome.figures(),
        "mixed_or_dropped": len(outcome.wrong),
        "health": health.outcome.figures(),
    }


def in_turn(loads: dict[str, tuple[str, Callable[[int], Iterator[Request]]]], rounds: int, seconds: float) -> int:
    """Two loads, (address, requests) by name, take turns; prints how many requests a second the first has of the
    second's. Returns 1 if an answer was wrong."""
    first, second = loads
    wrong = 0
    for clients in CLIENTS:
        ratios, found = [], dict[str, list[float]]()
        for number in range(rounds):
            turns = [first, second] if number % 2 else [second, first]
            for name in turns:
                url, load = loads[name]
                outcome = run_load(url, clients, seconds, load, answers_hits)
                found.setdefault(name, []).append(outcome.figures()["qps"])
                wrong += len(outcome.wrong)
            ratios.append(found[first][-1] / found[second][-1])
        medians = ", ".join(f"{name} {statistics.median(qps):.0f}/s" for name, qps in found.items())
        low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        print(f"{clients:3} clients: {medians}; ratio {middle:.3f} (quarters {low:.3f} to {high:.3f})", flush=True)
    return int(wrong > 0)


def answers_hits(request: Request, status: int, body: bytes) -> str:
    """Whether an answer is a list or an object with hits."""
    return "" if status == 200 and (b'"id"' in body or b'"rank"' in body) else f"{request[1]}: {status} {body[:200]!r}"


def manifest_changed(work: Path, name: str, source: str, change: Callable[[dict[str, Any]], None]) -> None:
    """A copy of an index whose manifest says something else; its files are links."""
    shutil.rmtree(work / name, ignore_errors=True)
    shutil.copytree(work / source, work / name, copy_function=os.link)
    manifest = json.loads((work / name / "manifest.json").read_text())
    change(manifest["extra"])
    (work / name / "manifest.json").unlink()
    (work / name / "manifest.json").write_text(json.dumps(manifest))


def watch(work: Path, rounds: int, seconds: float) -> int:
    """Requests a second with the check of real queries and without; then what 200 queries tell of a cut nprobe."""

    def cut(extra: dict[str, Any]) -> None:
        for effort in extra["efforts"]:
            effort["settings"]["nprobe"] = 1

    load = workloads(np.load(work / "queries.npy"), 100_000)["embedding"]
    with ours(work, "index") as watched, ours(work, "index", code=("-c", UNWATCHED)) as unwatched:
        wrong = in_turn({"watched": (watched, load), "not watched": (unwatched, load)}, rounds, seconds)
    manifest_changed(work, "cut", "index", cut)
    with ours(work, "cut") as url:
        client, requests = Client(url), load(0)
        for _ in range(200):
            method, path, body = next(requests)
            client.ask(method, path, body.replace(b'"index"', b'"cut"'))
        started = time.monotonic()
        while (
            not (notes := json.loads(client.ask("GET", "/ready")[1]).get("notes")) and time.monotonic() < started + 60
        ):
            time.sleep(0.1)
        print(f"nprobe cut to 1, {time.monotonic() - started:.1f} s after 200 queries: {notes}")
    return int(wrong or not notes)


def calibrated(work: Path, rounds: int, seconds: float) -> int:
    """Requests a second by records of the other kind, of a calibrated index and of one without what it learnt."""
    from clip_spark.index.build.build import build_index
    from clip_spark.index.specs import IndexSpec
    from clip_spark.runtime.session import session_source

    def forget(extra: dict[str, Any]) -> None:
        extra.update(calibration=None, penalties=[], references=[])

    def by_record(name: str) -> Callable[[int], Iterator[Request]]:
        paths = [f"/search?like={one}&of=cross-index&index={name}&k={HITS}" for one in ids]
        return lambda client: (("GET", paths[at % len(paths)], b"") for at in itertools.count(31 * client))

    manifest_changed(work, "raw", "index", forget)
    spec = IndexSpec(embeddings=(str(work / "cross"),), output=str(work / "cross-index"), overwrite=True)
    build_index(session_source("bench"), spec)
    learnt = json.loads((work / "index" / "manifest.json").read_text())["extra"]["calibration"]
    print(f"strength {learnt['strength']:g} over {learnt['nearest']} nearest queries")
    ids = record_ids(work / "cross-index")
    with ours(work, "index", "raw", "cross-index") as url:
        loads = {"calibrated": (url, by_record("index")), "raw": (url, by_record("raw"))}
        return in_turn(loads, rounds, seconds)


def record_ids(index: Path) -> list[str]:
    """Of all records of an index."""
    from clip_spark.search.searcher import Searcher

    with Searcher.open(str(index)) as searcher:
        table = searcher.records.take(np.arange(searcher.info.rows), ("record_id",))
        return list(table.column("record_id").to_pylist())


def run(work: Path, options: argparse.Namespace) -> int:
    """Measure, print, write."""
    result: dict[str, Any] = {"cores": os.cpu_count(), "key": KEY, "hits": HITS}
    runs = compare(work, options.peer_python, options.rounds, options.seconds) if options.peer_python else []
    result |= {"summary": summarise(runs), "load": under_load(work, 4 * options.seconds)}
    result |= {"switch": hot_switch(work, options.rebuilds), "runs": runs}
    if options.json:
        save_figures(options.json, result)
    for row in result["summary"]:
        print(
            *(
                f"{row['workload']:10} {row['clients']:3} clients",
                row["ours"],
                row["clip-back"],
                f"{row['times']} times",
            )
        )
    print("64 clients", json.dumps(result["load"]))
    print("rebuilt below its visitors", json.dumps(result["switch"]))
    ours_wrong = [run for run in runs if run["engine"] == "ours" and run["wrong"]]
    return int(bool(ours_wrong or result["load"]["wrong"] or result["switch"]["mixed_or_dropped"]))


def main() -> int:
    """Parse, make or run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "run", "watch", "calibrated"))
    parser.add_argument("--work", required=True, help="folder of vectors, weights and indices")
    parser.add_argument("--rows", type=int, default=100_000, help="make: vectors")
    parser.add_argument("--peer-python", default="", help="interpreter that has clip-retrieval; none leaves it out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--rebuilds", type=int, default=6)
    parser.add_argument("--json", help="file for all measurements")
    options = parser.parse_args()
    work = Path(options.work)
    if options.what == "make":
        make(work, options.rows)
        return 0
    if options.what != "run":
        return {"watch": watch, "calibrated": calibrated}[options.what](work, options.rounds, options.seconds)
    return run(work, options)


if __name__ == "__main__":
    raise SystemExit(main())
