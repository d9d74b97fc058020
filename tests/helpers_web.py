"""Two small indices made without Spark: demo pictures in a tar, and their names as texts, by the demo model."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import embedding_table
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.spec import Spec, option
from clip_spark.encoders import load_encoder
from clip_spark.encoders.spec import EncoderSpec
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from clip_spark.pictures.records import MetadataColumn, PictureRow, records_table
from clip_spark.pictures.tars import TarPart

DEMO_TAR = Path(__file__).resolve().parents[1] / "clip_spark" / "demo" / "pictures" / "00000.tar"
PICTURES = 48
HOSTILE = "<img src=x onerror=document.title='broken'>"
"""Texts come from anywhere; this one must stay text."""


@dataclass(frozen=True, kw_only=True)
class SampleSpec(Spec):
    """What the sample was asked for."""

    modality: str = option("modality", "image")


def write_sample(
    output: Path, modality: str, table: pa.Table, vectors: np.ndarray, precision: str = "fp32", model: Any = None
) -> None:
    """An embeddings dataset of one shard, by the demo's model or by another encoder."""
    ids = table.column("record_id").to_pylist()
    run = begin_run(
        str(output), Plan.of("embeddings", SampleSpec(output=str(output), modality=modality), {}, 1), overwrite=False
    )
    folders = {"embeddings": schema.EMBEDDINGS, "records": table.schema}
    with ShardWriter(run.output, run.plan.fingerprint, 0, folders) as writer:
        writer.write("embeddings", embedding_table(ids, vectors))
        writer.write("records", table)
        writer.finish()
    run.commit({"encoder": (model or encoder(precision)).info(), "modality": modality, "dim": vectors.shape[1]})


def encoder(precision: str = "fp32"):
    return load_encoder(EncoderSpec("demo", precision), None)


def copy_tar(target: Path, members: int) -> Path:
    """The first samples of the demo's tar, so that offsets count from a file of the test's own."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(DEMO_TAR) as source, tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as out:
        for member in source.getmembers()[: 3 * members]:
            out.addfile(member, source.extractfile(member))
    return target


def no_spark():
    raise AssertionError("no session is needed here")


def build(folder: Path, name: str) -> Manifest:
    return build_index(no_spark, IndexSpec(embeddings=str(folder / f"{name}-emb"), output=str(folder / name)))


def write_pictures(folder: Path, pictures: int, precision: str = "fp32") -> pa.Table:
    """Embeddings of the first demo pictures in `images-emb`; gives their records."""
    found = list(TarPart(str(copy_tar(folder / "pictures" / "00000.tar", pictures))).read())
    rows = [PictureRow(picture, 64, 64, len(picture.data)) for picture in found]
    table = records_table(rows, (MetadataColumn("group", "group", "string"),))
    vectors = encoder(precision).encode_images([picture.data for picture in found])
    write_sample(folder / "images-emb", "image", table, vectors, precision)
    return table


def make_pair(folder: Path, pictures: int = PICTURES) -> dict[str, str]:
    """Name -> URI of an index of pictures, and one of a prompt for each of them and one more, known by the same ids."""
    records = write_pictures(folder, pictures)
    ids, captions = (records[name].to_pylist() for name in ("record_id", "caption"))
    prompts = [*(f"a drawing of {caption}" for caption in captions), "a prompt without a picture"]
    table = pa.table(
        {"record_id": [*ids, schema.record_id(prompts[-1])], "kind": ["text"] * len(prompts), "text": prompts}
    )
    write_sample(folder / "prompts-emb", "text", table, encoder().encode_texts(prompts))
    return {name: build(folder, name).uri for name in ("images", "prompts")}


def make_indices(folder: Path, pictures: int = PICTURES, precision: str = "fp32") -> dict[str, str]:
    """Name -> URI of an index of pictures and one of their names, encoded in some precision."""
    captions = write_pictures(folder, pictures, precision)["caption"].to_pylist()
    names = [*dict.fromkeys(map(str, captions)), HOSTILE]
    columns = {
        "record_id": [schema.record_id(name) for name in names],
        "kind": ["text"] * len(names),
        "text": names,
        "n": pa.array([len(name.split()) for name in names], pa.int32()),
        "count": pa.array(range(len(names), 0, -1), pa.int64()),
    }
    write_sample(folder / "words-emb", "text", pa.table(columns), encoder(precision).encode_texts(names), precision)
    return {name: build(folder, name).uri for name in ("images", "words")}
