"""How good and how quick make-map is: one JSON object; docs/map.md has the summary.

python scripts/bench_map.py --demo demo-out                        # goals on what `clip-spark demo` has left there
python scripts/bench_map.py --anchors 50000 --placed 20000 --dim 512   # CPU seconds, extrapolated to a million rows
"""

from __future__ import annotations

import argparse
import json
import re
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark.analysis.map.fit import METHODS
from clip_spark.analysis.map.fitting import FitFrame
from clip_spark.analysis.map.frame import Frame
from clip_spark.analysis.map.measures import neighbour_recall, share_within
from clip_spark.analysis.map.naming import best_of, region_list, scores_without_hubs
from clip_spark.analysis.map.points import BLOCK_ROWS
from clip_spark.analysis.map.regions import find_regions
from clip_spark.analysis.map.sample import hashes, smallest
from clip_spark.datasets.manifest import read_manifest
from clip_spark.index.build.read_vectors import VectorReader, dataset_files

SEED, HELD_OUT, K = 0, 5, 15


def read_set(uri: str) -> tuple[pa.Table, np.ndarray]:
    """Records and vectors (float32 (n, d)) of a set of embeddings, by hash."""
    manifest = read_manifest(uri, "embeddings")
    reader = VectorReader(dataset_files(manifest, "embeddings"), manifest.extra["dim"])
    vectors = np.concatenate([block for _, block in reader.blocks()])
    records = pa.concat_tables([pq.read_table(file) for file in manifest.files("records")])
    ids = records["record_id"]
    order = smallest(hashes(ids, SEED), ids.to_pylist(), len(ids))
    return records.take(pa.array(order)), vectors[order]


def fitted(method: str, vectors: np.ndarray, texts: np.ndarray) -> Frame:
    """A frame as make-map fits it."""
    rows = {"image": len(vectors), "text": len(texts)}
    ids = [f"{row:08d}" for row in range(len(vectors))]
    return FitFrame("", "", method, len(vectors), SEED, rows, 0).fitted(ids, vectors, texts)


def own_names(records: pa.Table, texts: pa.Table, frame: Frame, placed: np.ndarray) -> dict[str, Any]:
    """The share of pictures whose name is among the nearest 1 % of all texts on the map."""
    row_of = {text.casefold(): row for row, text in enumerate(texts["text"].to_pylist())}
    own = np.array([row_of.get((name or "").casefold(), -1) for name in records["caption"].to_pylist()])
    has = own >= 0
    near = share_within(placed[own[has]], frame.places[has], placed)
    return {"pictures": int(has.sum()), "own_name_in_nearest_1_percent": round(near, 4), "goal": 0.98}


def true_neighbours(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Numbers of the K nearest other vectors of some rows, int64 (m, K)."""
    scores = vectors[rows] @ vectors.T
    scores[np.arange(len(rows)), rows] = -np.inf
    return np.argsort(-scores, axis=1)[:, :K]


def held_out(method: str, vectors: np.ndarray, full: Frame) -> dict[str, Any]:
    """Recall of neighbours of every fifth picture when the others place it, and when all are fitted together."""
    out = np.arange(len(vectors)) % HELD_OUT == 0
    others = fitted(method, vectors[~out], vectors[:0])
    # neighbour_recall asks the first rows: those that are held out go to the front.
    order = np.concatenate([np.flatnonzero(out), np.flatnonzero(~out)])
    near = true_neighbours(vectors[order], np.arange(out.sum()))
    placed = np.concatenate([others.locate(vectors[out])[0], others.places])
    found = [neighbour_recall(places[: out.sum()], near, places) for places in (placed, full.places[order])]
    ratio = {"ratio": round(found[0] / found[1], 4), "goal": 0.9}
    return {"recall_placed": round(found[0], 4), "recall_of_a_full_fit": round(found[1], 4), **ratio}


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(re.findall(r"[a-z0-9]+", text.lower()))


def region_names(records: pa.Table, vectors: np.ndarray, texts: pa.Table, of: np.ndarray, frame: Frame) -> Any:
    """How well names say what is in their regions, against what people wrote of each picture.

    F1 of two sets: the pictures of the region, and those whose name, keywords, group or subgroup has the words of the
    name; the mean over pictures. How regions are made and named was chosen on the pictures with an even number.
    """
    keys = scores_without_hubs(vectors, of) + hashes(texts["record_id"], SEED)
    near = best_of(keys, np.broadcast_to(np.arange(len(of)), keys.shape), texts["text"].to_pylist())
    said = [words(" ".join(map(str, json.loads(each).values()))) for each in records["metadata"].to_pylist()]
    zooms = find_regions(frame.square, frame.places, vectors)
    parts = {"chosen_on": np.arange(len(said)) % 2 == 0, "held_out": np.arange(len(said)) % 2 == 1}
    found = []
    for regions, described in zip(zooms, region_list(frame.square, zooms, frame.places, near), strict=True):
        region, names = regions.of(frame.square, frame.places), [words(one["name"]) for one in described["regions"]]
        has = np.array([[bool(name) and name <= each for each in said] for name in names])
        scores = {what: round(mean_f1(region[part], has[:, part]), 3) for what, part in parts.items()}
        found.append({"regions": len(names), "f1": round(mean_f1(region, has), 3), **scores})
    return {"zooms": found, "goals": [0.5, 0.45, 0.28]}


def mean_f1(region: np.ndarray, has: np.ndarray) -> float:
    """The mean over pictures of the F1 of their region.

    Args:
        region: of each picture, int32 (n,).
        has: for each region, whether people said its name of each picture, bool (regions, n).
    """
    inside = region == np.arange(len(has))[:, None]
    both, sizes = (inside & has).sum(axis=1), inside.sum(axis=1)
    return float((2 * both / np.maximum(sizes + has.sum(axis=1), 1) * sizes).sum() / len(region))


def unmoved(frame: Frame, vectors: np.ndarray) -> float:
    """The share of rows that get the same bits of a place in batches of 1,000 and of 7."""
    some = vectors[:3000]
    whole, small = (
        np.concatenate([frame.locate(some[at : at + rows])[0] for at in range(0, len(some), rows)])
        for rows in (1000, 7)
    )
    return float((whole.view(np.uint32) == small.view(np.uint32)).all(axis=1).mean())


def goals(demo: str, method: str) -> dict[str, Any]:
    """All goals on the demo's embeddings."""
    records, vectors = read_set(f"{demo}/image-embeddings")
    texts, of = read_set(f"{demo}/ngram-embeddings")
    frame = fitted(method, vectors, of)
    placed = frame.locate(of)[0]
    return {
        "method": method,
        "texts": own_names(records, texts, frame, placed),
        "held_out": held_out(method, vectors, frame),
        "region_names": region_names(records, vectors, texts, of, frame),
        "unmoved_in_any_batch": unmoved(frame, of),
        "report": dict(frame.figures),
    }


def costs(method: str, anchors: int, placed: int, dim: int) -> dict[str, Any]:
    """CPU seconds of a fit and of placing, on vectors in loose clusters."""
    random = np.random.default_rng(SEED)
    centres = random.normal(size=(max(1, anchors // 50), dim)).astype(np.float32)
    of = random.integers(len(centres), size=anchors + placed)
    vectors = centres[of] + random.normal(size=(len(of), dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    start = time.process_time()
    frame = fitted(method, vectors[:anchors], vectors[:0])
    fit = time.process_time() - start
    start = time.process_time()
    for first in range(anchors, len(vectors), BLOCK_ROWS):
        frame.locate(vectors[first : first + BLOCK_ROWS])
    million = (time.process_time() - start) / placed * 1e6
    return {
        "anchors": anchors,
        "dim": dim,
        "fit_cpu_seconds": round(fit, 1),
        "place_cpu_seconds_per_million": round(million, 1),
        "million_cpu_seconds": round(fit + million * (1 - anchors / 1e6), 1),
        "goal": 350,
    }


def main() -> None:
    """Measure what the options name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", default="", help="folder in which `clip-spark demo` has been run")
    parser.add_argument("--method", default="tsne", choices=METHODS)
    parser.add_argument("--anchors", type=int, default=0, help="rows to fit for the costs; 0 leaves costs out")
    parser.add_argument("--placed", type=int, default=20_000, help="rows to place for the costs")
    parser.add_argument("--dim", type=int, default=512)
    given = parser.parse_args()
    found: dict[str, Any] = {}
    if given.demo:
        found["goals"] = goals(given.demo, given.method)
    if given.anchors:
        found["costs"] = costs(given.method, given.anchors, given.placed, given.dim)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
