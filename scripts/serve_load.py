"""An hour of visitors, attackers and faults for a server over the demo's indices (`make serve-load`).

    python scripts/serve_load.py --demo demo-out --minutes 60 --json load.json

Visitors search by words, records, pictures, several queries at once, in all formats, look at pictures, read metadata.
Attackers send hostile bodies, conditions and pictures, break off, send slowly, and hold connections. Faults: the index
is rebuilt, records are taken down, its manifest becomes unreadable for a while. Exit status 1: an answer of 5xx other
than "busy", a visitor without an answer, /health slower than 50 ms in more than one of a hundred, or memory that grew.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import random
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]
from bench_serve import free_port, server  # noqa: E402
from http_load import Client, Outcome, Request, Watch, post, run_load  # noqa: E402

VISITORS, SLOW_MS, SETTLED = 6, 50.0, 0.34
"""Memory is compared between the end and this share of the time, by when caches are full."""
MOST_GROWTH = 1.15
BUSY = (429, 503)


def words() -> list[str]:
    """What people ask for."""
    return " ".join(file.read_text() for file in (ROOT / "clip_spark/demo/text").glob("*.txt")).split()


def visits(url: str, seed: int) -> Iterator[Request]:
    """Endless requests of one visitor; all of them are right."""
    chance, vocabulary, client = random.Random(seed), words(), Client(url)
    records = [one["record"]["record_id"] for one in json.loads(client.ask("GET", "/sample?k=200")[1])["records"]]
    picture = _png(chance)
    while True:
        text = quote(" ".join(chance.sample(vocabulary, 3)))
        record, k, format = (
            chance.choice(records),
            chance.choice((1, 10, 40, 300)),
            chance.choice(("json", "csv", "arrow")),
        )
        yield chance.choice(
            (
                ("GET", f"/search?q={text}&k={k}&format={format}", b""),
                ("GET", f"/search?q={text}&index=words&where=n%3D2&facets=n&unique=0.95", b""),
                ("GET", f"/search?like={record}&k={k}", b""),
                ("GET", f"/search?like={record}&of=pictures&index=words&k={k}", b""),
                ("GET", f"/picture/{record}?size=256", b""),
                ("HEAD", "/", b""),
                ("GET", "/sample?k=24", b""),
                ("GET", "/metrics", b""),
                ("POST", "/search?k=5", picture),
                post("/query", {"queries": [{"text": "a"}, {"terms": [{"text": "b"}, {"like": record}]}], "k": k}),
                post("/metadata", {"ids": [chance.randrange(500) for _ in range(40)], "indice_name": "words"}),
                post("/knn-service", {"text": "dog", "modality": "image", "num_images": 40, "deduplicate": True}),
            )
        )


def _png(chance: random.Random) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.frombytes("RGB", (64, 64), chance.randbytes(64 * 64 * 3)).save(stream, "PNG")
    return stream.getvalue()


def attacks(seed: int, bomb: bytes) -> Iterator[Request]:
    """Endless hostile requests, a picture that is a bomb among them; each must be refused."""
    chance = random.Random(seed)
    bodies = (
        *(b"[" * 100_000, b'{"ids": [' + b"1," * 99_990 + b"1]}", b'{"text": "\xed\xa0\x80"}', b"{" * 50),
        json.dumps({"ids": [7] * 20_000}).encode(),
    )
    conditions = (
        "true); drop table records",
        "sleep_ms(20000)",
        "n = 1 or " * 500 + "n = 1",
        "text like '" + "%a" * 200,
    )
    while True:
        yield chance.choice(
            (
                ("POST", chance.choice(("/knn-service", "/metadata", "/query")), chance.choice(bodies)),
                ("GET", f"/search?q=a&where={quote(chance.choice(conditions))}", b""),
                ("POST", "/search?k=3", bomb),
                ("POST", "/search?k=3", chance.randbytes(5000)),
                ("GET", f"/picture/{quote('../' * 20 + 'etc/passwd', safe='')}", b""),
                ("GET", "/search?q=" + "a" * 20_000, b""),
                ("DELETE", "/search", b""),
            )
        )


def _jp2() -> bytes:
    """A small file that unpacks to sixty-four megapixels of three colours."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (8000, 8000)).save(stream, "JPEG2000", quality_layers=[2000])
    return stream.getvalue()


def break_off(url: str, end: threading.Event) -> None:
    """Clients that go away in the middle, send a byte now and then, or send nothing at all."""
    place, held = (str(urlsplit(url).hostname), int(urlsplit(url).port or 80)), list[socket.socket]()
    starts = (
        b"GET /search?q=a HTTP/1.1\r\nHost: 127",
        b"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\n",
        b"",
    )
    for number in itertools.count():
        if end.wait(0.05):
            break
        try:
            one = socket.create_connection(place, 5)
            one.sendall(starts[number % 3])
            held.append(one)
            chosen = held[number % len(held)]
            chosen.sendall(b"x")
        except OSError:
            pass  # the server has ended it, as it should
        while len(held) > 200:
            held.pop(0).close()
    for one in held:
        one.close()


def faults(demo: Path, end: threading.Event, done: dict[str, int]) -> None:
    """Rebuilds, takedowns, and a manifest that cannot be read for a while."""
    from clip_spark.index.build.build import build_index
    from clip_spark.index.open.removals import add_removed
    from clip_spark.index.specs import IndexSpec
    from clip_spark.search.searcher import Searcher

    def no_spark() -> Any:
        raise AssertionError("no session is needed here")

    manifest = demo / "image-index" / "manifest.json"
    for number in itertools.count():
        if end.wait(10):
            return
        if number % 3 == 0:
            spec = IndexSpec(
                embeddings=str(demo / "image-embeddings"), output=str(demo / "image-index"), overwrite=True
            )
            build_index(no_spark, spec)
            done["rebuilds"] = done.get("rebuilds", 0) + 1
        elif number % 3 == 1:
            hit = Searcher.open(str(demo / "ngram-index")).search_text(f"word {number}", 1)[0]
            add_removed(str(demo / "ngram-index"), [hit.record["record_id"]])
            done["takedowns"] = done.get("takedowns", 0) + 1
        else:
            manifest.rename(manifest.with_suffix(".away"))
            end.wait(3)
            manifest.with_suffix(".away").rename(manifest)
            done["outages"] = done.get("outages", 0) + 1


def memory_mb(pid: int) -> float:
    """Memory of a process that is its own: what its files are mapped to is not counted."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def is_right(request: Request, status: int, body: bytes) -> str:
    """What is wrong with a visitor's answer; taken down records may be gone, and a busy server may say so."""
    fine = status == 200 or status in BUSY or (status == 404 and b"removed" in body)
    return "" if fine else f"{request[0]} {request[1][:120]}: {status} {body[:150]!r}"


def is_refused(request: Request, status: int, body: bytes) -> str:
    """What is wrong with an attacker's answer."""
    return "" if 400 <= status < 500 or status in BUSY else f"{request[0]} {request[1][:120]}: {status} {body[:150]!r}"


def run(demo: Path, minutes: float) -> dict[str, Any]:
    """All of it at once; returns figures."""
    seconds, end, done = 60 * minutes, threading.Event(), dict[str, int]()
    port, outcomes = free_port(), dict[str, Outcome]()
    indices = [f"pictures={demo / 'image-index'}", f"words={demo / 'ngram-index'}"]
    command = [sys.executable, "-m", "clip_spark.jobs.serve", "--port", str(port)]
    memory, bomb = list[float](), _jp2()

    def load(name: str, clients: int, requests: Callable[[int], Iterator[Request]], check: Any) -> None:
        outcomes[name] = run_load(url, clients, seconds, requests, check)

    def watch_memory(pid: int) -> None:
        while not end.wait(1.0):
            memory.append(memory_mb(pid))

    address = f"http://127.0.0.1:{port}"
    with server([*command, *(text for one in indices for text in ("--index", one))], address, demo / "log") as url:
        work = [
            threading.Thread(target=load, args=("visitors", VISITORS, lambda n: visits(url, n), is_right)),
            threading.Thread(target=load, args=("attackers", 2, lambda n: attacks(n, bomb), is_refused)),
        ]
        beside = [
            threading.Thread(target=break_off, args=(url, end)),
            threading.Thread(target=faults, args=(demo, end, done)),
            threading.Thread(target=watch_memory, args=(_pid_on(port),)),
        ]
        with Watch(url) as health:
            for thread in [*work, *beside]:
                thread.start()
            for thread in work:
                thread.join()
            end.set()
            for thread in beside:
                thread.join()
    return summary(outcomes, health.outcome, memory, done, minutes)


def _pid_on(port: int) -> int:
    """The child of ours that serves on a port."""
    own = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return next(int(pid) for pid in own if str(port) in Path(f"/proc/{pid}/cmdline").read_text())


def summary(
    outcomes: dict[str, Outcome], health: Outcome, memory: list[float], done: dict[str, int], minutes: float
) -> dict[str, Any]:
    """The figures, and in words what was not as it must be."""
    settled = memory[int(len(memory) * SETTLED) :]
    part = max(1, len(settled) // 5)
    early, late = sorted(settled[:part])[part // 2], sorted(settled[-part:])[part // 2]
    slow = sum(ms > SLOW_MS for ms in health.ms) / max(1, len(health.ms))
    failed = [text for one in outcomes.values() for text in one.wrong]
    failed += [f"/health was slower than {SLOW_MS:g} ms in {slow:.1%} of its answers"] if slow > 0.01 else []
    failed += [f"memory grew from {early:.0f} to {late:.0f} MB"] if late > MOST_GROWTH * early else []
    figures = {name: one.figures() for name, one in outcomes.items()} | {"health": health.figures()}
    kept = {"settled_mb": round(early, 1), "end_mb": round(late, 1), "most_mb": round(max(memory), 1)}
    return {"minutes": minutes, **figures, "memory": kept, "health_slow": slow, "faults": done, "failed": failed[:20]}


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", required=True, help="folder of `make demo`; what is changed is a copy beside it")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--json", help="file for the figures")
    options = parser.parse_args()
    copy = Path(options.demo).resolve().with_name(f"{Path(options.demo).resolve().name}-load-{os.getpid()}")
    shutil.copytree(options.demo, copy)
    try:
        result = run(copy, options.minutes)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    print(json.dumps(result, indent=1))
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1) + "\n")
    return int(bool(result["failed"]))


if __name__ == "__main__":
    raise SystemExit(main())
