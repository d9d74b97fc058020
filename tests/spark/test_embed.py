"""embed-text and embed-images as whole steps: rows, order, rejects, resume."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import read_embeddings
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.embed import preview
from clip_spark.embed.pictures import embed_images
from clip_spark.embed.specs import EmbedImagesSpec, EmbedTextSpec
from clip_spark.embed.texts import embed_text
from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.errors import InputError, ModelError, SpecError

pytestmark = pytest.mark.spark
REPOSITORY = Path(__file__).resolve().parents[2]


def make_records(folder: Path, shards: list[list[str]]) -> Manifest:
    """A dataset of records with a column of the user's own."""
    columns = pa.schema([("record_id", pa.string()), ("kind", pa.string()), ("text", pa.string()), ("own", pa.int64())])
    run = begin_run(str(folder), Plan("records", {"texts": shards}, {}, len(shards)), overwrite=False)
    for number, texts in enumerate(shards):
        rows = [{"record_id": schema.record_id(t), "kind": "text", "text": t, "own": len(t)} for t in texts]
        with ShardWriter(run.output, run.plan.fingerprint, number, {"records": columns}) as writer:
            writer.write("records", pa.Table.from_pylist(rows, schema=columns))
            writer.finish()
    return run.commit()


def rows_of(manifest: Manifest, folder: str = "records") -> list[dict[str, Any]]:
    """All rows of one folder, in the order of the manifest."""
    return [row for uri in manifest.files(folder) for row in pq.read_table(uri).to_pylist()]


def vectors_of(manifest: Manifest) -> np.ndarray:
    """All vectors, in the order of the manifest."""
    return np.concatenate([read_embeddings(uri) for uri in manifest.files("embeddings")])


def no_session() -> Any:
    """A SessionSource for steps that must not need one."""
    raise AssertionError("a session was started")


def picture_bytes(colour: tuple[int, int, int], kind: str = "PNG", size: tuple[int, int] = (40, 30)) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, kind)
    return stream.getvalue()


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [f"{colour} {thing}" for thing in ("dog", "cat", "big house") for colour in ("red", "blue", "green", "old")]


def test_embed_text_keeps_order_columns_and_vectors(spark: Any, tmp_path: Path, texts: list[str]) -> None:
    records = make_records(tmp_path / "records", [texts[:5], [], texts[5:]])
    spec = EmbedTextSpec(records=records.uri, output=str(tmp_path / "emb"), prefix="a photo of a ", shard_rows=4)
    manifest = embed_text(lambda: spark, spec)
    rows = rows_of(manifest)
    assert [row["text"] for row in rows] == texts
    assert [row["own"] for row in rows] == [len(text) for text in texts]
    assert [row["record_id"] for row in rows_of(manifest, "embeddings")] == [row["record_id"] for row in rows]
    expected = load_encoder(EncoderSpec("demo")).encode_texts([f"a photo of a {text}" for text in texts])
    np.testing.assert_allclose(vectors_of(manifest), expected, atol=1e-5)
    assert manifest.extra["modality"] == "text" and manifest.extra["dim"] == expected.shape[1]
    assert manifest.extra["encoder"]["model"] == "demo"
    assert [len(receipt.files) for receipt in manifest.receipts] == [2, 2, 2]
    assert {table.title for table in preview(manifest)} >= {"encoder"}
    assert embed_text(no_session, spec).rows == len(texts)  # done: no JVM


def test_texts_without_words_are_rejected_and_counted(spark: Any, tmp_path: Path) -> None:
    records = make_records(tmp_path / "records", [["dog", " ", "cat", ""]])
    manifest = embed_text(lambda: spark, EmbedTextSpec(records=records.uri, output=str(tmp_path / "emb")))
    assert [row["text"] for row in rows_of(manifest)] == ["dog", "cat"]
    assert manifest.rejects == {"no text": 2}


def test_mistakes_are_found_before_any_session(tmp_path: Path) -> None:
    records = make_records(tmp_path / "records", [["dog"]])
    empty = make_records(tmp_path / "empty", [[]])
    output = str(tmp_path / "emb")
    with pytest.raises(ModelError, match="Did you mean 'ViT-B/32'"):
        embed_text(no_session, EmbedTextSpec(records=records.uri, output=output, model="ViT-B/31"))
    with pytest.raises(InputError, match="holds no records"):
        embed_text(no_session, EmbedTextSpec(records=empty.uri, output=output))
    with pytest.raises(SpecError, match="no column 'txet', only .* Did you mean 'text'"):
        embed_text(no_session, EmbedTextSpec(records=records.uri, output=output, text_column="txet"))
    with pytest.raises(InputError, match="does not exist"):
        embed_images(no_session, EmbedImagesSpec(images=(str(tmp_path / "nothing"),), output=output))


def test_damaged_weights_are_one_sentence(spark: Any, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"no weights at all")
    records = make_records(tmp_path / "records", [["dog"]])
    spec = EmbedTextSpec(records=records.uri, output=str(tmp_path / "emb"), model=f"RN50:{weights}")
    with pytest.raises(Exception, match="cannot be loaded") as caught:
        embed_text(lambda: spark, spec)
    assert getattr(caught.value, "exit_status", None) == 2


def make_pictures(folder: Path) -> list[str]:
    """Nested picture files of several kinds, a damaged one and files that are no pictures; names of the good ones."""
    good = {
        "a.png": "PNG",
        "b.JPG": "JPEG",
        "deep/er/c.webp": "WEBP",
        "deep/d.bmp": "BMP",
        "e.gif": "GIF",
        "f.tiff": "TIFF",
    }
    for number, (name, kind) in enumerate(good.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_bytes((40 * number, 90, 255 - 40 * number), kind))
    (folder / "a.txt").write_text("a caption")
    (folder / "a.json").write_text(json.dumps({"name": "A", "tags": ["x", "y"]}))
    (folder / "cut.jpg").write_bytes(picture_bytes((1, 2, 3), "JPEG")[:200])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpeg").write_text("this is no picture")
    return sorted(good)


def test_embed_images_reads_folders(spark: Any, tmp_path: Path) -> None:
    names = make_pictures(tmp_path / "pictures")
    spec = EmbedImagesSpec(
        images=(str(tmp_path / "pictures"),),
        output=str(tmp_path / "emb"),
        metadata_columns=("name", "tags"),
        shard_rows=4,
    )
    manifest = embed_images(lambda: spark, spec)
    rows = rows_of(manifest)
    assert [os.path.relpath(row["uri"], tmp_path / "pictures") for row in rows] == names
    assert [row["record_id"] for row in rows] == [schema.record_id(row["uri"]) for row in rows]
    first = rows[0]
    assert (first["caption"], first["name"], first["tags"]) == ("a caption", "A", '["x", "y"]')
    assert (first["width"], first["height"], first["kind"]) == (40, 30, "image")
    assert manifest.rejects == {"cut short": 1, "empty": 1, "not a picture": 1}
    encoder = load_encoder(EncoderSpec("demo"))
    expected = encoder.encode_images([(tmp_path / "pictures" / name).read_bytes() for name in names])
    np.testing.assert_allclose(vectors_of(manifest), expected, atol=1e-5)


def make_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_embed_images_reads_tars_and_parquet_together(spark: Any, tmp_path: Path) -> None:
    members = {
        "x/1.png": picture_bytes((255, 0, 0)),
        "x/1.txt": b"one",
        "x/1.json": b'{"name": "One"}',
        "x/2.txt": b"no picture here",
        "x/3.jpg": picture_bytes((0, 255, 0), "JPEG"),
    }
    (tmp_path / "in").mkdir()
    make_tar(tmp_path / "in" / "0.tar", members)
    data = (tmp_path / "in" / "0.tar").read_bytes()
    (tmp_path / "in" / "cut.tar").write_bytes(data[:540])
    pq.write_table(
        pa.table({"image": [picture_bytes((0, 0, 255)), None], "caption": ["blue", "none"], "id": [7, 8]}),
        tmp_path / "in" / "rows.parquet",
    )
    spec = EmbedImagesSpec(
        images=(str(tmp_path / "in"),), output=str(tmp_path / "out" / "emb"), metadata_columns=("name", "id")
    )
    manifest = embed_images(lambda: spark, spec)
    rows = rows_of(manifest)
    assert [row["caption"] for row in rows] == ["one", None, "blue"]
    assert rows[0]["uri"] == f"tar://x/1.png::{tmp_path}/in/0.tar" and rows[2]["id"] == 7
    with storage.open_read(rows[0]["uri"]) as stream:
        assert stream.read() == members["x/1.png"]
    assert data[rows[1]["offset"] :][: rows[1]["size"]] == members["x/3.jpg"]
    assert manifest.rejects == {"no picture": 1, "damaged tar": 1, "no image bytes": 1}


def test_a_killed_driver_is_resumed_to_the_same_bytes(spark: Any, tmp_path: Path, texts: list[str]) -> None:
    records = make_records(tmp_path / "records", [texts])
    undisturbed = embed_text(
        lambda: spark, EmbedTextSpec(records=records.uri, output=str(tmp_path / "whole"), shard_rows=1)
    )
    command = [sys.executable, str(REPOSITORY / "jobs" / "embed_text.py"), "--records", records.uri]
    command += ["--output", str(tmp_path / "killed"), "--shard-rows", "1", "--master", "local[1]"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYSPARK_PYTHON": sys.executable}
    job = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    receipts = tmp_path / "killed" / "receipts"
    deadline = time.monotonic() + 120
    while not (receipts.exists() and any(receipts.glob("*.json"))) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    before = {path.name: path.stat().st_mtime_ns for path in receipts.glob("0*.json")}
    assert before, "the job wrote no shard before it was killed"
    resumed = embed_text(
        lambda: spark, EmbedTextSpec(records=records.uri, output=str(tmp_path / "killed"), shard_rows=1)
    )
    for whole, again in zip(undisturbed.files("embeddings"), resumed.files("embeddings"), strict=True):
        np.testing.assert_allclose(read_embeddings(whole), read_embeddings(again), atol=1e-6)
    assert [r.id_checksum for r in resumed.receipts] == [r.id_checksum for r in undisturbed.receipts]
    kept = {name: (receipts / name).stat().st_mtime_ns for name in before}
    assert kept == before  # finished shards were not done again
