"""Indices with inverted lists, several parts and penalties, made without Spark, and put where they are not local."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import fsspec
import numpy as np

from clip_spark import storage
from clip_spark.datasets.manifest import MANIFEST
from clip_spark.index.build.build import build_index
from clip_spark.index.build.train import train_index
from clip_spark.index.files.calibration import Calibration
from clip_spark.index.files.faiss_library import load_faiss
from clip_spark.index.files.layout import IndexFile, SearchSettings, read_index
from clip_spark.index.files.part_writer import PartWriter
from clip_spark.index.specs import IndexSpec
from tests.helpers_embeddings import numbered, write_embeddings

PENALTY = 0.1


def write_listed(
    folder: Path,
    vectors: np.ndarray,
    key: str,
    *,
    parts: int = 3,
    rerank: int = 0,
    nprobe: int = 4,
    encoder: dict[str, Any] | None = None,
) -> str:
    """The folder of an index of that kind over `text 0`, `text 1`, ...; queries of pictures are corrected for hubs."""
    rows = len(vectors)
    write_embeddings(folder / "embeddings", vectors, numbered(rows), shard_rows=rows * 2 // 5, encoder=encoder)
    spec = IndexSpec(embeddings=(str(folder / "embeddings"),), output=str(folder / "index"), index_key="Flat")
    uri = build_index(lambda: None, spec).uri
    _, info = read_index(uri)
    trained = train_index(key, "ip", vectors, seed=0)
    ef = 32 if "HNSW" in key else 0
    half = vectors.astype(np.float16)
    changed = dataclasses.replace(
        info,
        key=key,
        settings=SearchSettings(nprobe, ef, rerank),
        efforts=(),
        parts=tuple(_parts(PartWriter(uri, info.generation), trained, vectors, parts)),
        vectors=tuple(_halves(uri, info.records, half, "vectors")) if rerank else (),
        penalties=tuple(_halves(uri, info.records, _penalties(rows), "penalties")),
        calibration=Calibration("image", 0.5, 4),
    )
    place = Path(uri, MANIFEST)
    place.write_text(json.dumps({**json.loads(place.read_text()), "extra": changed.to_json()}))
    return uri


def _penalties(rows: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(0, PENALTY, (rows, 1)).astype(np.float16)


def _parts(writer: PartWriter, trained: Any, vectors: np.ndarray, parts: int) -> list[IndexFile]:
    faiss, made = load_faiss(), []
    for number, rows in enumerate(np.array_split(np.arange(len(vectors)), parts)):
        index = faiss.deserialize_index(faiss.serialize_index(trained))  # older ones cannot clone all kinds
        index.add_with_ids(vectors[rows], rows)
        made.append(writer.write(index, number))
    return made


def _halves(uri: str, records: tuple[IndexFile, ...], values: np.ndarray, folder: str) -> list[IndexFile]:
    made = []
    for file in records:
        path = file.path.replace("records", folder).replace(".arrow", ".f16")
        data = values[file.start : file.end].tobytes()
        storage.write_bytes(storage.join(uri, path), data)
        made.append(IndexFile(path, file.start, file.rows, len(data), hashlib.sha256(data).hexdigest()))
    return made


def put_away(folder: str, name: str) -> str:
    """Copy an index to where it is not local: its URI there."""
    fs = fsspec.filesystem("memory")
    fs.put(f"{folder}/", f"/{name}", recursive=True)
    return f"memory://{name}"
