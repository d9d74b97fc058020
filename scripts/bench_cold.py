"""The first answer of an index in an object store of which nothing is here: by pieces, and after all was fetched.

    python scripts/bench_cold.py --index bench/index --queries bench/queries --work scratch/ --json cold.json

A real S3 server (SeaweedFS) on loopback gets the index. Each round asks one query by embedding in two new processes in
turn, each with an empty cache: one reads pieces, one fetches all parts first. Seconds are from the opening of the index
to the hits with their records; imports are counted by themselves. Then the same through a proxy that counts requests,
bytes and the longest chain of requests that waited for each other, and that makes each request take longer, as over a
network. The hits of all runs must be those of the local index.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.services.proxy import fault_proxy  # noqa: E402
from tests.services.seaweed import BUCKET, S3Server, s3_server  # noqa: E402

LATENCY = 0.05
"""Seconds that a request takes longer behind the proxy: S3 answers within 20 to 60 ms."""
HITS, NEXT = 10, 5


def answer(uri: str, way: str, queries: str, row: int, count: int) -> dict[str, Any]:
    """A query in this process and what it took, and after it others, `count` in all."""
    began = time.perf_counter()
    import s3fs  # noqa: F401

    from clip_spark.search.hits import Wanted
    from clip_spark.search.searcher import Searcher

    vectors = read_queries(queries, row + count)
    imported, cpu = time.perf_counter(), time.process_time()
    with Searcher.open(uri, fetch=way == "whole") as searcher:
        opened = time.perf_counter()
        hits = searcher.search(vectors[row : row + 1], Wanted(k=HITS))[0]
        first, cpu = time.perf_counter(), time.process_time() - cpu
        for other in vectors[row + 1 : row + count]:
            searcher.search(other[None], Wanted(k=HITS))
        last = time.perf_counter()
    return {
        "import_seconds": imported - began,
        "open_seconds": opened - imported,
        "first_answer_seconds": first - imported,
        "first_answer_cpu_seconds": cpu,
        "next_answers_seconds": (last - first) / max(1, count - 1),
        "hits": [[hit.position, hit.score, hit.record] for hit in hits],
    }


def read_queries(folder: str, rows: int) -> Any:
    """The first vectors of an embeddings dataset, float32 (rows, d)."""
    import numpy as np
    import pyarrow.parquet as pq

    first = min(Path(folder, "embeddings").glob("*.parquet"))
    return np.stack(pq.read_table(first, columns=["embedding"]).column(0)[:rows].to_numpy())


def run(uri: str, way: str, arguments: argparse.Namespace, row: int, count: int, **settings: str) -> dict[str, Any]:
    """The same in a process of its own with an empty cache and some settings of the environment."""
    with tempfile.TemporaryDirectory(dir=arguments.work) as cache:
        command = [sys.executable, __file__, "--index", uri, "--queries", arguments.queries, "--ask", way]
        command += [str(row), str(count)]
        env = {**os.environ, **settings, "CLIP_SPARK_CACHE": cache, "OMP_NUM_THREADS": "2"}
        return dict(json.loads(subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE).stdout))


def upload(folder: str, server: S3Server) -> tuple[str, int]:
    """The index on the server: its URI, and its bytes."""
    os.environ.update(server.env())
    from clip_spark import storage

    files, uri = storage.list_files(folder), f"s3://{BUCKET}/index"

    def copy(path: str) -> None:
        with open(path, "rb") as source, storage.open_write(uri + path[len(os.path.abspath(folder)) :]) as target:
            shutil.copyfileobj(source, target, 16 << 20)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(copy, [file.uri for file in files]))
    return uri, sum(file.bytes for file in files)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All rounds."""
    runs: dict[str, list[dict[str, Any]]] = {"pieces": [], "whole": []}
    counted: dict[str, dict[str, Any]] = {}
    with s3_server(Path(arguments.work, "s3")) as server:
        uri, size = upload(arguments.index, server)
        for row in range(arguments.rounds):
            expected = run(os.path.abspath(arguments.index), "whole", arguments, row, 1)["hits"]
            for way, found in runs.items():
                found.append(run(uri, way, arguments, row, NEXT, **server.env()))
                assert found[-1].pop("hits") == expected, (way, row)
        for way in runs:
            with fault_proxy(server.port, wait=LATENCY) as proxy:
                found = run(uri, way, arguments, 0, 1, **server.env(proxy.endpoint))
                first = found["first_answer_seconds"]
                counted[way] = {**summary(proxy, size), "seconds_with_latency": round(first, 3)}
    middle = {
        way: {name: round(statistics.median(one[name] for one in found), 3) for name in found[0]}
        for way, found in runs.items()
    }
    return {
        "bytes": size,
        "rounds": arguments.rounds,
        "latency": LATENCY,
        "load": round(os.getloadavg()[0], 2),
        **{way: {**middle[way], **counted[way]} for way in runs},
    }


def summary(proxy: Any, size: int) -> dict[str, Any]:
    """What went through a proxy."""
    sent = sum(one.bytes for one in proxy.passed)
    return {
        "requests": len(proxy.passed),
        "longest_chain": proxy.longest_chain,
        "read_bytes": sent,
        "read_share": round(sent / size, 4),
    }


def main() -> None:
    """Print, and write, what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", required=True, help="folder of an index with inverted lists")
    parser.add_argument("--queries", required=True, help="embeddings to ask with")
    parser.add_argument("--work", default=tempfile.gettempdir(), help="scratch: twice the index")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="also write the result here")
    parser.add_argument("--ask", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ask:
        way, row, count = arguments.ask
        print(json.dumps(answer(arguments.index, way, arguments.queries, int(row), int(count))))
        return
    with contextlib.ExitStack() as stack:
        arguments.work = stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.work))
        text = json.dumps(measure(arguments), indent=1)
    print(text)
    if arguments.json:
        Path(arguments.json).write_text(text + "\n")


if __name__ == "__main__":
    main()
