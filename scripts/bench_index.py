"""Compare build-index and search with autofaiss and bare Faiss: same vectors, same queries, same machine, one run.

    python scripts/bench_index.py make --rows 100000 --work bench/        # vectors, as an embeddings dataset
    python scripts/bench_index.py make --work bench/ --embeddings demo-out/ngram-embeddings \
        --queries demo-out/image-embeddings                               # or those of a real encoder
    python scripts/bench_index.py run --work bench/ --json bench.json     # every candidate in a process of its own
    python scripts/bench_index.py tags --work bench/                      # tagging with the index of `run`
    python scripts/bench_index.py run --work bench/ --candidates small --max-index-memory 120M

Candidates: ours; autofaiss with its own choices, local and on Spark; bare Faiss with our key; small: ours in the memory
that is given, with what it takes there, and in turn with the index that `ours` has left. A candidate that fails or
runs out of time is a result and is printed as such. Times on a busy machine mean little: CPU seconds are given too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "scripts")]
from figures import save_figures  # noqa: E402

QUERIES, AT = 500, 10
CANDIDATES = ("ours", "faiss", "autofaiss local", "autofaiss pyspark")
BESIDE = "ours"


@dataclass(frozen=True)
class Memory:
    """What a build may take, and what an index may take that is searched; as options."""

    build: str
    index: str


def make_vectors(rows: int, dim: int, queries: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors like CLIP's: concepts grouped into topics, Zipf-like frequencies, noise, and an offset per modality.

    Returns:
        float32 (rows, dim) of the one kind and (queries, dim) of the other, unit length; the kinds share concepts but
        not the offset, so a query's neighbours are far away in angle, as a text's pictures are.
    """
    random = np.random.default_rng(seed)
    concepts, topics = max(50, rows // 50), max(10, rows // 2000)
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)  # noqa: E731
    normal = lambda *shape: random.standard_normal(shape, dtype=np.float32)  # noqa: E731
    centres = 0.7 * unit(normal(topics, dim))[random.integers(topics, size=concepts)] + 0.7 * unit(
        normal(concepts, dim)
    )
    weights = 1 / np.arange(1, concepts + 1) ** 0.7
    offsets = unit(normal(2, dim))

    def draw(count: int, offset: np.ndarray) -> np.ndarray:
        out = centres[random.choice(concepts, size=count, p=weights / weights.sum())]
        for start in range(0, count, 50_000):
            block = out[start : start + 50_000]
            block += 0.8 / np.sqrt(dim) * normal(*block.shape) + offset
        return unit(out)

    return draw(rows, offsets[0]), draw(queries, offsets[1])


def read_vectors(uri: str) -> np.ndarray:
    """All vectors of an embeddings dataset, float32 (n, d)."""
    from clip_spark.datasets.embeddings import read_embeddings
    from clip_spark.datasets.manifest import read_manifest

    return np.concatenate([read_embeddings(file) for file in read_manifest(uri, "embeddings").files("embeddings")])


def make(work: Path, vectors: np.ndarray, cross: np.ndarray) -> None:
    """Write vectors, queries of the other kind, and the exact answers to these and to some of the vectors."""
    from helpers_embeddings import numbered, write_embeddings

    from clip_spark.index.build.exact import exact_hits

    rows = len(vectors)
    write_embeddings(work / "embeddings", vectors, numbered(rows), shard_rows=50_000)
    write_embeddings(work / "queries", cross, numbered(len(cross), "query"), modality="image")
    own = np.sort(np.random.default_rng(1).choice(rows, min(rows, QUERIES), replace=False))
    truths = [exact_hits([(0, vectors)], np.ascontiguousarray(q), AT + 1)[1] for q in (vectors[own], cross)]
    np.savez(
        work / "truth.npz", own=own, own_queries=vectors[own], cross=cross, own_true=truths[0], cross_true=truths[1]
    )


def build_ours(work: Path, name: str, memory: Memory) -> Any:
    """build-index with its defaults, tuned with the other kind too; returns a search function and the bytes."""
    from clip_spark.index.build.build import build_index
    from clip_spark.index.specs import IndexSpec
    from clip_spark.runtime.session import session_source
    from clip_spark.search.searcher import Searcher

    spec = IndexSpec(
        embeddings=str(work / "embeddings"),
        queries=str(work / "queries"),
        output=str(work / name),
        overwrite=True,
        max_build_memory=memory.build,
        max_index_memory=memory.index,
    )
    manifest = build_index(session_source("bench"), spec)
    start = time.perf_counter()
    searcher = Searcher.open(manifest.uri)
    opened = time.perf_counter() - start
    info = searcher.info
    return {
        "search": lambda q, k: searcher.parts.search(q, k)[1],
        "bare": bare_search(searcher),
        "note": f"{info.key} nprobe={info.settings.nprobe}",
        "index_bytes": sum(part.bytes for part in info.parts),
        "open_ms": opened * 1e3,
        "key": info.key,
        "nprobe": info.settings.nprobe,
        "rerank": info.settings.rerank,
        "stages": json.loads(Path(manifest.locate("report.json")).read_text())["seconds_by_stage"],
    }


def build_small(work: Path, memory: Memory) -> Any:
    """The same in little memory: what it takes in a process that only searches, and the index of BESIDE to compare."""
    from clip_spark.search.searcher import Searcher

    built = build_ours(work, "small", memory)
    command = [sys.executable, __file__, "resident", "--work", str(work), "--name", "small"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    peer = Searcher.open(str(work / BESIDE)).parts
    return {**built, **found, "bare": lambda q, k: peer.search(q, k)[1]}


def resident(work: Path, name: str) -> dict[str, float]:
    """What an index takes in a process that only searches: memory of its own, and pages of its files that were read.

    All lists are read, as a server does sooner or later. Pages of the float16 vectors are the page cache's: the system
    takes them back whenever anything else needs memory, at the price of reading them again.
    """
    from clip_spark.datasets.manifest import read_manifest
    from clip_spark.index.files.faiss_library import load_faiss
    from clip_spark.index.files.layout import IndexInfo
    from clip_spark.index.open.effort import everything
    from clip_spark.index.open.parts import open_parts

    load_faiss()
    manifest, queries = read_manifest(str(work / name), "index"), np.load(work / "truth.npz")["cross"]
    before = own_bytes()
    info = IndexInfo.from_json(manifest.extra)
    parts = open_parts(manifest.uri, info)
    opened = own_bytes() - before
    parts.search(queries[:32], AT, everything(info.settings))
    for row in range(100):
        parts.search(queries[row : row + 1], AT)
    parts.search(queries, AT)
    searched, codes = own_bytes() - before, mapped_bytes(".index")
    return {
        "resident_bytes": opened + codes,
        "own_bytes_opened": opened,
        "own_bytes_after_searches": searched,
        "mapped_part_bytes": codes,
        "mapped_vector_bytes": mapped_bytes(".f16"),
    }


def own_bytes() -> int:
    """RssAnon of this process: what is in memory and in no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))


def mapped_bytes(ending: str) -> int:
    """Pages in memory of mapped files whose names end so."""
    total, mine = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            mine = words[-1].endswith(ending)
        elif mine and words[0] == "Rss:":
            total += int(words[1]) << 10
    return total


def bare_search(searcher: Any) -> Any:
    """Faiss itself on our first part with our nprobe, where that part is the whole index."""
    import faiss

    if len(searcher.parts.indexes) > 1 or searcher.info.settings.rerank:
        return None
    index = faiss.read_index(faiss_path(searcher), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    if searcher.info.settings.nprobe:
        faiss.extract_index_ivf(index).nprobe = searcher.info.settings.nprobe
    return lambda q, k: index.search(q, k)[1]


def faiss_path(searcher: Any) -> str:
    """The file of the first part."""
    from clip_spark.index.files.local_copy import open_local

    return open_local(searcher.manifest.uri, searcher.info.parts[0], str)


def build_faiss(work: Path, rows: int) -> Any:
    """Bare Faiss: read, train with its own defaults, add, write; the key and nprobe of ours."""
    import faiss

    from clip_spark.datasets.manifest import read_manifest
    from clip_spark.index.build.read_vectors import VectorReader, dataset_files

    ours = json.loads((work / "ours.json").read_text())
    reader = VectorReader(dataset_files(read_manifest(str(work / "embeddings")), "embeddings"), ours["dim"])
    vectors = np.concatenate([block for _, block in reader.blocks()])
    index = faiss.index_factory(vectors.shape[1], ours["key"], faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        train = np.random.default_rng(0).choice(rows, min(rows, 64 * index.nlist), replace=False)
        index.train(vectors[np.sort(train)])
        index.nprobe = ours["nprobe"]
    index.add(vectors)
    return _opened(index, str(work / "faiss.index"), f"{ours['key']} nprobe={ours['nprobe']}", ours["nprobe"])


def _opened(index: Any, path: str, note: str, nprobe: int) -> Any:
    import faiss

    faiss.write_index(index, path)
    start = time.perf_counter()
    opened = faiss.read_index(path, faiss.IO_FLAG_MMAP)
    seconds = time.perf_counter() - start
    if nprobe:
        opened.nprobe = nprobe
    size = os.path.getsize(path)
    return {"search": lambda q, k: opened.search(q, k)[1], "note": note, "index_bytes": size, "open_ms": seconds * 1e3}


def build_autofaiss(work: Path, distributed: str | None) -> Any:
    """autofaiss.build_index with its own choices."""
    import autofaiss
    import faiss

    out = work / f"autofaiss-{distributed}"
    out.mkdir(exist_ok=True)
    if distributed:
        from clip_spark.runtime.session import session_source

        session_source("bench")()
    index, found = autofaiss.build_index(
        embeddings=str(work / "embeddings" / "embeddings"),
        file_format="parquet",
        embedding_column_name="embedding",
        save_on_disk=False,  # beside the index it writes a JSON, in which it puts a float32 of numpy 2, and fails
        ids_path=None,
        distributed=distributed,
        temporary_indices_folder=str(out / "temporary"),
        metric_type="ip",
    )
    if index is None:
        raise RuntimeError(f"build_index returned {(index, found)}")
    faiss.write_index(index, str(out / "knn.index"))
    start = time.perf_counter()
    opened = faiss.read_index(str(out / "knn.index"), faiss.IO_FLAG_MMAP)
    seconds = time.perf_counter() - start
    size = os.path.getsize(out / "knn.index")
    note = f"{found['index_key']} {found['index_param']}"
    return {"search": lambda q, k: opened.search(q, k)[1], "note": note, "index_bytes": size, "open_ms": seconds * 1e3}


def one(name: str, work: Path, memory: Memory) -> dict[str, Any]:
    """Build and measure one candidate in this process."""
    rows = json.loads((work / "embeddings" / "manifest.json").read_text())["totals"]["rows"]
    start = time.perf_counter()
    if name == "ours":
        built = build_ours(work, name, Memory(memory.build, "16G"))
    elif name == "small":
        built = build_small(work, memory)
    elif name == "faiss":
        built = build_faiss(work, rows)
    else:
        built = build_autofaiss(work, "pyspark" if name.endswith("pyspark") else None)
    wall = time.perf_counter() - start
    search, bare = built.pop("search"), built.pop("bare", None)
    against = beside(search, bare, np.load(work / "truth.npz")["cross"]) if bare else {}
    return {
        "candidate": name,
        "build_seconds": wall,
        **built,
        **quality(search, work),
        **against,
    }


def beside(search: Any, bare: Any, queries: np.ndarray, rounds: int = 15) -> dict[str, float]:
    """Our search and bare Faiss on the same file in turn: median times, and how fast ours is in Faiss's time."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, ask in (("ours", search), ("bare", bare)):
            start = time.perf_counter()
            for row in range(100):
                ask(queries[row : row + 1], AT)
            middle = time.perf_counter()
            ask(queries, AT)
            times.setdefault(f"{name}_single", []).append((middle - start) / 100 * 1e3)
            times.setdefault(f"{name}_batched", []).append((time.perf_counter() - middle) / len(queries) * 1e3)
    found = {f"ms_{name}_in_turn": float(np.median(each)) for name, each in times.items()}
    for kind in ("single", "batched"):
        found[f"share_of_bare_{kind}"] = found[f"ms_bare_{kind}_in_turn"] / found[f"ms_ours_{kind}_in_turn"]
    return found


def quality(search: Any, work: Path) -> dict[str, float]:
    """Recall@10 on both kinds of queries, and times."""
    from concurrent.futures import ThreadPoolExecutor

    from clip_spark.index.build.questions import recalls

    truth = np.load(work / "truth.npz")
    own, cross = truth["own_queries"], truth["cross"]
    search(cross[:8], AT)  # pages in
    found = {
        "recall_self": float(recalls(search(own, AT + 1), truth["own_true"], truth["own"]).mean()),
        "recall_cross": float(recalls(search(cross, AT), truth["cross_true"]).mean()),
    }
    singles, batches = [], []
    for _ in range(3):
        start = time.perf_counter()
        for row in range(200):
            search(cross[row : row + 1], AT)
        singles.append((time.perf_counter() - start) / 200 * 1e3)
        start = time.perf_counter()
        search(cross, AT)
        batches.append((time.perf_counter() - start) / len(cross) * 1e3)
    with ThreadPoolExecutor(2) as pool:
        start = time.perf_counter()
        list(pool.map(lambda row: search(cross[row % len(cross)][None], AT), range(600)))
        rate = 600 / (time.perf_counter() - start)
    return {**found, "ms_single": min(singles), "ms_batched": min(batches), "qps_2_threads": rate}


def run(work: Path, names: list[str], limit: int, memory: Memory) -> list[dict[str, Any]]:
    """Every candidate in a process of its own; a failure is a row too."""
    results = []
    for name in names:
        result = run_one(work, name, limit, memory)
        if name == "ours" and "failed" not in result:
            dim = json.loads((work / "embeddings" / "manifest.json").read_text())["extra"]["dim"]
            (work / "ours.json").write_text(json.dumps({**result, "dim": dim}))
        results.append(result)
        print(json.dumps(result), flush=True)
    return results


def run_one(work: Path, name: str, limit: int, memory: Memory) -> dict[str, Any]:
    """One candidate in a process of its own, with the peak memory of all its processes, a JVM's too."""
    from scripts.bench_ngrams import Usage, end_tree

    command = [sys.executable, __file__, "one", "--work", str(work), "--name", name, "--max-build-memory", memory.build,
               "--max-index-memory", memory.index]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    usage = Usage(process.pid)
    try:
        said, complaints = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        end_tree(process)
        return {"candidate": name, "failed": f"not done after {limit} s", **usage.stop()}
    lines = [line for line in said.splitlines() if line.startswith("{")]
    failure = (complaints.strip().splitlines() or ["no output"])[-1]
    return {**(json.loads(lines[-1]) if lines else {"candidate": name, "failed": failure[:300]}), **usage.stop()}


def tags(work: Path) -> dict[str, float]:
    """tag-images' worker, from read vectors to a written shard of tags, and bare Faiss, block by block in turn."""
    import faiss
    import pyarrow as pa

    from clip_spark.analysis.query_shards import shard_blocks
    from clip_spark.analysis.tag_images import tag_block
    from clip_spark.datasets import schema
    from clip_spark.datasets.shards import ShardWriter
    from clip_spark.search.hits import Wanted
    from clip_spark.search.searcher import Searcher

    searcher = Searcher.open(str(work / "ours"))
    bare = bare_search(searcher)
    seconds, rows = {"ours": 0.0, "bare": 0.0}, 0
    shards = len(json.loads((work / "embeddings" / "manifest.json").read_text())["receipts"])
    with ShardWriter(str(work / "tags"), "bench", 0, {"tags": schema.TAGS}) as writer:
        for shard in range(shards):
            for records, vectors in shard_blocks(str(work / "embeddings"), shard, searcher.info.dim, ["record_id"]):
                images = pa.table([records["record_id"], records["record_id"]], names=["record_id", "uri"])
                start = time.perf_counter()
                writer.write("tags", tag_block(searcher, images, vectors, (Wanted(k=AT),)))
                middle = time.perf_counter()
                bare(vectors, AT)
                seconds["ours"] += middle - start
                seconds["bare"] += time.perf_counter() - middle
                rows += len(vectors)
        writer.finish()
    threads = faiss.omp_get_max_threads()
    return {"images": rows, "threads": threads, **seconds, "share_of_bare": seconds["bare"] / seconds["ours"]}


def show(results: list[dict[str, Any]]) -> None:
    """A table for a person."""
    columns = ("build_seconds", "cpu_seconds", "peak_bytes", "peak_bytes_without_files", "recall_self",
               "recall_cross", "ms_single", "ms_batched", "qps_2_threads", "open_ms")  # fmt: skip
    print(f"{'candidate':<20}" + "".join(f"{name:>26}" for name in columns) + "  index")
    for each in results:
        cells = "".join(f"{each[name]:>26,.3f}" for name in columns) if "failed" not in each else f"  {each['failed']}"
        print(f"{each['candidate']:<20}{cells}  {each.get('note', '')}")


def main() -> None:
    """Parse and dispatch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["make", "run", "one", "resident", "tags"])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--embeddings", help="dataset to take the vectors from instead")
    parser.add_argument("--queries", help="and the one with the queries of the other kind")
    parser.add_argument("--name", default="ours")
    parser.add_argument("--candidates", default=",".join(CANDIDATES))
    parser.add_argument("--limit", type=int, default=1800, help="seconds per candidate")
    parser.add_argument("--max-build-memory", default="4G", help="of ours")
    parser.add_argument("--max-index-memory", default="120M", help="of the candidate small")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.work, memory = options.work.resolve(), Memory(options.max_build_memory, options.max_index_memory)
    if options.action == "make":
        if options.embeddings:
            make(options.work, read_vectors(options.embeddings), read_vectors(options.queries)[:QUERIES])
        else:
            make(options.work, *make_vectors(options.rows, options.dim, QUERIES))
    elif options.action == "tags":
        print(json.dumps(tags(options.work)))
    elif options.action == "resident":
        print(json.dumps(resident(options.work, options.name)))
    elif options.action == "one":
        print(json.dumps(one(options.name, options.work, memory), default=float))
    else:
        results = run(options.work, options.candidates.split(","), options.limit, memory)
        show(results)
        if options.json:
            save_figures(options.json, {"candidates": results})


if __name__ == "__main__":
    main()
