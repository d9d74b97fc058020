"""How many of the near pairs find-duplicates knows, and what it costs: one JSON object for each size (docs/answers.md).

python scripts/bench_duplicates.py --rows 100000 --rows 1000000
python scripts/bench_duplicates.py --embeddings demo-out/image-embeddings

The vectors are made up: unequal clusters in a narrow cone, as CLIP has them, and near-doubles of a tenth of the records
planted at cosines of 0.93 to 0.99, half of them towards other records and half anywhere. The oracle compares all pairs
(numpy) of up to --oracle rows; beyond, those of so many rows with all. Seconds are CPU seconds of this process and of
all that it started, Spark's JVM among them. --peer adds what Faiss takes to find all pairs by comparing all with all.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import session, stop
from clip_spark.analysis.duplicates.spec import DuplicatesSpec
from clip_spark.analysis.duplicates.step import find_duplicates
from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import embedding_table
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.spec import Spec, option
from clip_spark.index.build.read_vectors import VectorReader, dataset_files
from clip_spark.index.files.faiss_library import load_faiss

SHARD_ROWS = 50_000
CLUSTER_ROWS, PLANTED, SEED, PEER_ROWS = 200, 0.1, 0, 4096
ENCODER = {"model": "made up", "weights_sha256": "-", "preprocess": "-", "precision": "fp32"}


@dataclass(frozen=True, kw_only=True)
class MadeSpec(Spec):
    """Made-up embeddings."""

    rows: int = option("rows", 0)


class Maker:
    """Vectors by the shard, of which a later one may double rows of the first."""

    def __init__(self, rows: int, dim: int) -> None:
        self.random = np.random.default_rng(SEED)
        self.falling = 1 / np.sqrt(1 + np.arange(dim) / 20)
        self.cone = 0.6 * self.random.normal(size=dim) * np.sqrt((self.falling**2).mean())
        clusters = max(20, rows // CLUSTER_ROWS)
        self.widths = self.random.uniform(0.35, 0.9, size=clusters)
        self.centres = (self.random.normal(size=(clusters, dim)) * self.falling + self.cone).astype(np.float32)

    def shard(self, rows: int) -> np.ndarray:
        """Unit vectors float32 (rows, d), a tenth of them near-doubles of others among them."""
        new, random = rows - int(rows * PLANTED), self.random
        owners = random.integers(len(self.centres), size=new)
        noise = random.normal(size=(new, len(self.falling))) * self.falling * self.widths[owners][:, None]
        vectors = unit(self.centres[owners] + noise)
        source = vectors[random.integers(new, size=rows - new)]
        across = random.normal(size=source.shape).astype(np.float32)
        towards = random.random(len(source)) < 0.5
        across[towards] = vectors[random.integers(new, size=int(towards.sum()))]
        across = unit(across - (across * source).sum(axis=1, keepdims=True) * source)
        cosines = random.uniform(0.93, 0.99, size=(len(source), 1))
        beside = cosines * source + np.sqrt(1 - cosines**2) * across
        return unit(np.concatenate([vectors, beside])[random.permutation(rows)])


def unit(vectors: np.ndarray) -> np.ndarray:
    """*Pure.* The same of length 1, float32."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def write_set(output: Path, rows: int, dim: int) -> Manifest:
    """A dataset of made-up embeddings."""
    shards, maker = -(-rows // SHARD_ROWS), Maker(rows, dim)
    plan = Plan.of("embeddings", MadeSpec(output=str(output), rows=rows), {}, shards)
    run = begin_run(str(output), plan, overwrite=False)
    records = pa.schema([("record_id", pa.string()), ("uri", pa.string())])
    for number in range(shards):
        vectors = maker.shard(min(SHARD_ROWS, rows - number * SHARD_ROWS))
        ids = [schema.record_id(f"{number}/{row}") for row in range(len(vectors))]
        folders = {"embeddings": schema.EMBEDDINGS, "records": records}
        with ShardWriter(run.output, plan.fingerprint, number, folders) as writer:
            writer.write("embeddings", embedding_table(ids, vectors))
            writer.write("records", pa.table([ids, [f"{number}/{row}.jpg" for row in range(len(ids))]], schema=records))
            writer.finish()
    return run.commit({"encoder": ENCODER, "modality": "image", "dim": dim, "columns": records.names})


def cpu_seconds() -> float:
    """Of this process, its children that are gone, and all that are alive below it."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + ended.ru_utime + ended.ru_stime
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def near_pairs(vectors: np.ndarray, threshold: float, rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Brute force: pairs of the first `rows` rows with all behind them, a block at a time."""
    for start in range(0, rows, 2000):
        block = vectors[start : min(start + 2000, rows)]
        one, two = np.nonzero(np.triu(block @ vectors[start:].T >= threshold, 1))
        yield one + start, two + start


def vectors_of(found: Manifest) -> np.ndarray:
    """All vectors of a dataset, float32 (n, d)."""
    reader = VectorReader(dataset_files(found, "embeddings"), found.extra["dim"])
    return np.concatenate([rows for _, rows in reader.blocks()])


def brute_force(found: Manifest, threshold: float) -> dict[str, Any]:
    """The peer: Faiss' complete range search of each vector among all others; pairs alone, no groups."""
    faiss = load_faiss()
    vectors, started, before, pairs = vectors_of(found), time.time(), cpu_seconds(), 0
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    for start in range(0, len(vectors), PEER_ROWS):
        limits, _, near = index.range_search(vectors[start : start + PEER_ROWS], threshold)
        owners = np.repeat(np.arange(len(limits) - 1), np.diff(limits.astype(np.int64))) + start
        pairs += int((near > owners).sum())
    cost = {"cpu_seconds": round(cpu_seconds() - before, 1), "wall_seconds": round(time.time() - started, 1)}
    return {"pairs": pairs, **cost}


def quality(found: Manifest, manifest: Manifest, threshold: float, most: int) -> dict[str, Any]:
    """What of the true pairs is known, and whether groups are what they should be."""
    vectors = vectors_of(found)
    ids = pa.concat_tables([pq.read_table(uri, columns=["record_id"]) for uri in found.files("embeddings")])[
        "record_id"
    ]
    table = pa.concat_tables([pq.read_table(uri) for uri in manifest.files("duplicates")])
    at = {name: row for row, name in enumerate(ids.to_pylist())}
    group = np.arange(len(vectors))
    rows = [at[name] for name in table["record_id"].to_pylist()]
    group[rows] = [at[name] for name in table["group"].to_pylist()]
    several = np.zeros(len(vectors), bool)
    several[rows] = True
    pairs = list(near_pairs(vectors, threshold, min(most, len(vectors))))
    one, two = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    known = (group[one] == group[two]) | refused(vectors, group, one, two, threshold)
    left = (group[one] == one) & (group[two] == two)
    chained = sum(
        int((vectors[mine] @ vectors[mine].T < threshold - 1e-6).sum())
        for mine in np.split(np.argsort(group, kind="stable"), np.unique(np.sort(group), return_index=True)[1][1:])
        if len(mine) > 1
    )
    return {
        "near pairs": len(one),
        "pairs known": round(float(known.mean()), 5) if len(one) else None,
        "pairs in one group": round(float((group[one] == group[two]).mean()), 5) if len(one) else None,
        "near pairs both kept": int(left.sum()),
        "pairs of a group that are not near": chained,
        "records with a near one that are in no group": int((~several[np.unique(np.concatenate([one, two]))]).sum()),
    }


def refused(vectors: np.ndarray, group: np.ndarray, one: np.ndarray, two: np.ndarray, threshold: float) -> np.ndarray:
    """Pairs in two groups, because one of the two is not near to some record of the other's: no chains, bool (m,)."""
    found = np.zeros(len(one), bool)
    order = np.argsort(group, kind="stable")
    starts, ends = (np.searchsorted(group[order], group, side=side) for side in ("left", "right"))
    for number in np.flatnonzero(group[one] != group[two]):
        a, b = one[number], two[number]
        both = [(a, order[starts[b] : ends[b]]), (b, order[starts[a] : ends[a]])]
        found[number] = any((vectors[mine] @ vectors[row] < threshold).any() for row, mine in both)
    return found


def measured(found: Manifest, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """One run."""
    spark = session()
    spark.sparkContext.parallelize(range(4), 4).map(lambda x: x).collect()  # its workers are there
    before, started = cpu_seconds(), time.time()
    spec = DuplicatesSpec(
        embeddings=found.uri, output=str(folder), threshold=given.threshold, task_memory=given.task_memory, examples=0
    )
    manifest = find_duplicates(session, spec)
    cost = {"cpu_seconds": round(cpu_seconds() - before, 1), "wall_seconds": round(time.time() - started, 1)}
    figures = {name: manifest.extra[name] for name in ("records", "groups", "grouped", "others", "largest", "cells")}
    peer = {"faiss, all with all": brute_force(found, given.threshold)} if given.peer else {}
    known = quality(found, manifest, given.threshold, given.oracle) if given.oracle else {}
    return {**figures, **cost, **peer, **known}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, action="append", default=[])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--embeddings", help="in place of made-up ones")
    parser.add_argument("--threshold", type=float, default=0.95)
    parser.add_argument("--task-memory", default="256M")
    parser.add_argument("--oracle", type=int, default=100_000, help="rows whose pairs with all others are counted")
    parser.add_argument("--peer", action="store_true", help="also compare all with all by Faiss, in the same run")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for number, rows in enumerate(given.rows if not given.embeddings else [0]):
            uri = given.embeddings or str(Path(folder) / f"emb-{number}")
            found = read_manifest(uri, "embeddings") if given.embeddings else write_set(Path(uri), rows, given.dim)
            sys.stdout.write(json.dumps(measured(found, Path(folder) / f"dup-{number}", given)) + "\n")
            sys.stdout.flush()
    stop()


if __name__ == "__main__":
    main()
