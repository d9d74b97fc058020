"""What the tasks of embed-text and embed-images do, without Spark: the same shards, whatever the plan."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import read_embeddings
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.embed import preview, text_records
from clip_spark.embed import task as task_module
from clip_spark.embed.facts import facts
from clip_spark.embed.picture_stream import counted_warnings
from clip_spark.embed.pictures import PictureWork
from clip_spark.embed.record_slices import plan_shards
from clip_spark.embed.specs import EmbedTextSpec
from clip_spark.embed.task import EncodeTask, Usage, write_rows
from clip_spark.embed.texts import TextWork, encode_said
from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.encoders.text_half import Tokenised
from clip_spark.errors import SpecError
from clip_spark.pictures import find as image_plan
from clip_spark.pictures.decode import LAID
from clip_spark.pictures.records import MetadataColumn
from clip_spark.runtime import devices

TEXTS = [f"{colour} {thing}" for thing in ("dog", "cat", "big house", " ") for colour in ("red", "blue", "")]
COLUMNS = pa.schema([("record_id", pa.string()), ("kind", pa.string()), ("text", pa.string()), ("own", pa.int64())])
SPEC = EncoderSpec("demo", "fp32")


@pytest.fixture
def records(tmp_path: Path) -> Manifest:
    """TEXTS as records in files of 5, 0 and 7 rows, in row groups of 2."""
    run = begin_run(str(tmp_path / "records"), Plan("records", {}, {}, 3), overwrite=False)
    for number, texts in enumerate([TEXTS[:5], [], TEXTS[5:]]):
        rows = [{"record_id": schema.record_id(t), "kind": "text", "text": t, "own": len(t)} for t in texts]
        with ShardWriter(run.output, run.plan.fingerprint, number, {"records": COLUMNS}) as writer:
            for start in range(0, len(rows), 2):
                writer.write("records", pa.Table.from_pylist(rows[start : start + 2], schema=COLUMNS))
            writer.finish()
    return run.commit()


def run_here(output: Path, shards: list[Any], make: Callable[[EncodeTask], Any], modality: str) -> Manifest:
    """A whole run in this process."""
    run = begin_run(str(output), Plan("embeddings", {}, {}, len(shards)), overwrite=False)
    work = make(EncodeTask(run.output, run.plan.fingerprint, SPEC))
    for shard in shards:
        work(shard)
    return run.commit(facts(run, modality, price_per_hour=3.6))


def rows_of(manifest: Manifest) -> list[dict[str, Any]]:
    return [row for uri in manifest.files("records") for row in pq.read_table(uri).to_pylist()]


def vectors_of(manifest: Manifest) -> np.ndarray:
    return np.concatenate([v for v in map(read_embeddings, manifest.files("embeddings")) if len(v)])


def test_loading_counts_once_and_work_counts_for_its_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin_run(str(tmp_path), Plan("embeddings", {}, {}, 2), overwrite=False)
    clock, encoders = [0.0], [load_encoder(SPEC)]

    def load_slowly(_spec: EncoderSpec) -> Any:
        clock[0] += 7.0 if encoders else 0.0
        return encoders.pop() if encoders else load_encoder(SPEC)

    monkeypatch.setattr(task_module, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(task_module, "load_encoder", load_slowly)
    task = EncodeTask(run.output, run.plan.fingerprint, SPEC)
    for number, (seconds, texts) in enumerate([(7.0, ["dog"]), (0.0, ["dog", "red cat"])]):
        usage = Usage(task)
        usage.encoder.encode_texts(texts)
        with ShardWriter(run.output, task.plan, number, {}) as writer:
            usage.add_to(writer)
            assert writer.watch.seconds["load"] == seconds and writer.watch.seconds["forward"] > 0
            assert writer.counters["tokens"] == sum(len(text.split()) + 2 for text in texts)


def test_templates_are_averaged_to_unit_vectors() -> None:
    encoder, texts = load_encoder(SPEC), ["dog", "red apple"]
    mean = encoder.encode_texts([f"a {text}" for text in texts]) + encoder.encode_texts(
        [f"{text} outside" for text in texts]
    )
    said = [encoder.tokenise([template.replace("{}", text) for text in texts]) for template in ("a {}", "{} outside")]
    found = encode_said(encoder, said)
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize("options", [{"templates": ("a photo",)}, {"templates": ("a {}",), "prefix": "a "}])
def test_templates_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="templates"):
        EmbedTextSpec(records="r", output="o", **options)


def test_any_plan_gives_the_same_rows(records: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_here(tmp_path / "whole", plan_shards([records], 0), lambda task: TextWork(task, ("a {}",)), "text")
    monkeypatch.setattr(text_records, "SLICE_ROWS", 2)
    for shard_rows in (1, 4, 5):
        shards = plan_shards([records], shard_rows)
        again = run_here(tmp_path / str(shard_rows), shards, lambda task: TextWork(task, ("a {}",)), "text")
        assert rows_of(again) == rows_of(whole)
        np.testing.assert_allclose(vectors_of(again), vectors_of(whole), atol=1e-5)
    usable = [text for text in TEXTS if text.strip()]
    assert [row["text"] for row in rows_of(whole)] == usable and whole.rejects == {"no text": len(TEXTS) - len(usable)}
    assert whole.extra["cost_per_million"] > 0 and {"encoder"} <= {table.title for table in preview(whole)}


def test_texts_are_split_while_the_model_computes(
    records: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, split = load_encoder(SPEC), threading.Semaphore(0)
    tokenise, encode = encoder.tokenise, encoder.encode_texts
    monkeypatch.setattr(text_records, "SLICE_ROWS", len(TEXTS) // 2 + 1)
    monkeypatch.setattr(encoder, "tokenise", lambda texts: (tokenise(texts), split.release())[0])

    def encode_when_all_are_split(texts: Tokenised, per_pass: int) -> np.ndarray:
        assert both.is_set() or all(split.acquire(timeout=120) for _ in range(2))
        both.set()
        return encode(texts, per_pass)

    both = threading.Event()
    monkeypatch.setattr(encoder, "encode_texts", encode_when_all_are_split)
    found = run_here(tmp_path / "out", plan_shards([records], 0), lambda task: TextWork(task, ("{}",)), "text")
    assert found.rows == len([text for text in TEXTS if text.strip()])


class SecondTry:
    """The TaskContext of a task that was tried before."""

    attemptNumber, cpus, resources = (lambda _: 1), (lambda _: 1), (lambda _: {})


def test_a_second_try_gives_the_same_rows(records: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    for colour in ("red", "blue"):
        (tmp_path / "in" / f"{colour}.png").write_bytes(picture(colour))
    (tmp_path / "in" / "bad.png").write_bytes(b"no picture")
    pictures = image_plan.plan_shards(image_plan.find_pictures((str(tmp_path / "in"),)), 0)
    texts = plan_shards([records], 0)

    def run(name: str) -> tuple[Manifest, Manifest]:
        return (
            run_here(tmp_path / f"t{name}", texts, lambda task: TextWork(task, ("a {}",)), "text"),
            run_here(tmp_path / f"i{name}", pictures, lambda task: PictureWork(task, ()), "image"),
        )

    first = run("1")
    monkeypatch.setattr(devices, "task_context", SecondTry)
    for once, again in zip(first, run("2"), strict=True):
        assert rows_of(again) == rows_of(once) and again.rejects == once.rejects
        np.testing.assert_allclose(vectors_of(again), vectors_of(once), atol=1e-6)


def tar_of(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def picture(colour: str, kind: str = "PNG") -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, kind)
    return stream.getvalue()


def test_transparent_pictures_are_laid_on_white_and_counted_and_have_no_tokens(tmp_path: Path, records: str) -> None:
    from PIL import Image

    run_here(tmp_path / "texts", plan_shards([records], 0), lambda task: TextWork(task, ("a {}",)), "text")
    (tmp_path / "in").mkdir()
    for colour, alpha in (("black", 0), ("red", 255)):
        laid = Image.new("RGBA", (40, 30), colour)
        laid.putalpha(alpha)
        laid.save(tmp_path / "in" / f"{colour}.png")
    (tmp_path / "in" / "white.png").write_bytes(picture("white"))
    shards = image_plan.plan_shards(image_plan.find_pictures((str(tmp_path / "in"),)), 0)
    manifest = run_here(tmp_path / "pictures", shards, lambda task: PictureWork(task, ()), "image")
    counters = sum((Counter(receipt.counters) for receipt in manifest.receipts), Counter[str]())
    assert counters[f"pictures {LAID}"] == 1 and "tokens" not in counters
    black, _, white = vectors_of(manifest)
    np.testing.assert_allclose(black, white, atol=1e-6)


def test_warnings_of_pillow_are_counted_and_those_of_others_are_shown() -> None:
    counters = Counter[str]()
    with warnings.catch_warnings(record=True) as shown, counted_warnings(counters):
        warnings.warn_explicit(
            "Corrupt EXIF data", UserWarning, "/lib/PIL/TiffImagePlugin.py", 1, "PIL.TiffImagePlugin"
        )
        warnings.warn_explicit("of somebody else", UserWarning, "/lib/other.py", 1, "other")
    assert counters == {"warnings of the decoders": 1} and [str(one.message) for one in shown] == ["of somebody else"]


NAME_AND_ID = (MetadataColumn("name", "name", "string"), MetadataColumn("id", "id", "int64"))


@pytest.mark.parametrize("fast", [False, True])
def test_tars_and_parquet_become_shards(tmp_path: Path, fast: bool) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    members = {
        "1.png": picture("red"),
        "1.json": b'{"name": "One"}',
        "2.txt": b"no picture",
        "3.jpg": picture("blue", "JPEG"),
    }
    tar_of(folder / "0.tar", members)
    (folder / "cut.tar").write_bytes((folder / "0.tar").read_bytes()[:540])
    pq.write_table(
        pa.table({"image": [picture("green"), None], "caption": ["g", "n"], "id": [7, 8]}), folder / "r.parquet"
    )
    shards = image_plan.plan_shards(image_plan.find_pictures((str(folder),)), 0)
    manifest = run_here(tmp_path / "out", shards, lambda task: PictureWork(task, NAME_AND_ID, fast), "image")
    rows = rows_of(manifest)
    assert [(row["name"], row["id"], row["caption"]) for row in rows] == [
        ("One", None, None),
        (None,) * 3,
        (None, 7, "g"),
    ]
    assert manifest.rejects == {"no picture": 1, "damaged tar": 1, "no image bytes": 1}
    data = (folder / "0.tar").read_bytes()
    assert data[rows[1]["offset"] :][: rows[1]["size"]] == members["3.jpg"]
    assert json.loads(rows[0]["metadata"]) == {"name": "One"}
    assert vectors_of(manifest).shape == (3, manifest.extra["dim"])


def test_captions_are_embedded_under_the_ids_of_their_pictures(tmp_path: Path) -> None:
    members = {"1.png": picture("red"), "1.txt": b"red box", "2.png": picture("blue"), "3.png": picture("green")}
    tar_of(tmp_path / "0.tar", members | {"3.txt": b"green box"})
    shards = image_plan.plan_shards(image_plan.find_pictures((str(tmp_path / "0.tar"),)), 0)
    images = run_here(tmp_path / "images", shards, lambda task: PictureWork(task, ()), "image")
    captions = run_here(
        tmp_path / "captions", plan_shards([images], 0), lambda task: TextWork(task, ("{}",), "caption"), "text"
    )
    pictured = [row for row in rows_of(images) if row["caption"]]
    assert rows_of(captions) == [{**row, "text": row["caption"]} for row in pictured] and len(pictured) == 2
    assert captions.rejects == {"no text": 1}
    expected = load_encoder(SPEC).encode_texts(["red box", "green box"])
    np.testing.assert_allclose(vectors_of(captions), expected, atol=1e-5)


def test_a_vector_without_a_direction_is_rejected(tmp_path: Path) -> None:
    folders = {"embeddings": schema.EMBEDDINGS, "records": COLUMNS}
    rows = [{"record_id": str(number), "text": "x"} for number in range(3)]
    vectors = np.array([[1, 0], [np.nan, 0], [0, 0]], np.float32)
    with ShardWriter(str(tmp_path), "plan", 0, folders) as writer:
        write_rows(writer, pa.Table.from_pylist(rows, schema=COLUMNS), vectors)
        receipt = writer.finish()
    assert receipt.rows == 1 and receipt.rejects == {"no direction": 2}
