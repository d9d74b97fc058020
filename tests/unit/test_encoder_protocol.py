"""One protocol for all encoders: a tiny one without torch goes through the real tasks, an index and a search."""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from clip_spark import encoders
from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import read_embeddings
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import Run, begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.embed.facts import facts, with_precision
from clip_spark.embed.pictures import PictureWork
from clip_spark.embed.record_slices import plan_shards
from clip_spark.embed.task import EncodeTask
from clip_spark.embed.texts import TextWork
from clip_spark.encoders import EncoderSpec, check_model, load_encoder
from clip_spark.errors import ModelError, Rejected
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from clip_spark.pictures.find import find_pictures
from clip_spark.pictures.find import plan_shards as plan_pictures
from clip_spark.search.searcher import Searcher
from tests.helpers_colours import COLOURS, ColourEncoder, know_colours


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> EncoderSpec:
    return know_colours(monkeypatch)


def png(colour: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, "PNG")
    return stream.getvalue()


def make_records(folder: Path, texts: list[str]) -> Manifest:
    columns = pa.schema([("record_id", pa.string()), ("kind", pa.string()), ("text", pa.string())])
    run = begin_run(str(folder), Plan("records", {}, {}, 1), overwrite=False)
    rows = [{"record_id": schema.record_id(text), "kind": "text", "text": text} for text in texts]
    with ShardWriter(run.output, run.plan.fingerprint, 0, {"records": columns}) as writer:
        writer.write("records", pa.Table.from_pylist(rows, schema=columns))
        writer.finish()
    return run.commit()


def begun(output: Path, shards: list[Any], spec: EncoderSpec) -> tuple[Run, EncodeTask]:
    run = begin_run(str(output), Plan("embeddings", {}, {}, len(shards)), overwrite=False)
    return run, EncodeTask(run.output, run.plan.fingerprint, spec)


def test_texts_go_through_the_task_into_an_index(colours: EncoderSpec, tmp_path: Path) -> None:
    records = make_records(tmp_path / "records", ["a red box", " ", "a blue box", "green grass"])
    shards = plan_shards([records], 2)
    run, task = begun(tmp_path / "emb", shards, colours)
    for shard in shards:
        TextWork(task, ("a {}", "{} of old"))(shard)
    manifest = run.commit(facts(run, "text", 0.0), with_precision(run))
    assert manifest.rows == 3 and manifest.rejects == {"no text": 1} and manifest.extra["dim"] == 3
    assert sum(receipt.counters["rows made"] for receipt in manifest.receipts) == 6  # 3 texts in 2 templates
    build_index(no_session, IndexSpec(embeddings=manifest.uri, output=str(tmp_path / "index")))
    searcher = Searcher.open(str(tmp_path / "index"))
    assert searcher.search_text("something blue", k=1)[0].record["text"] == "a blue box"
    assert isinstance(searcher.encoder, ColourEncoder)


def no_session() -> Any:
    raise AssertionError("a session was started")


def test_pictures_go_through_the_task(colours: EncoderSpec, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in COLOURS:
        (tmp_path / "in" / f"{name}.png").write_bytes(png(name if name != "green" else "lime"))
    (tmp_path / "in" / "bad.png").write_bytes(b"no picture")
    shards = plan_pictures(find_pictures((str(tmp_path / "in"),)), 0)
    run, task = begun(tmp_path / "emb", shards, colours)
    PictureWork(task, ())(shards[0])
    manifest = run.commit(facts(run, "image", 0.0))
    expected = load_encoder(colours).encode_texts(sorted(COLOURS))
    np.testing.assert_allclose(read_embeddings(manifest.files("embeddings")[0]), expected, atol=0.02)
    assert manifest.rejects == {"not a picture": 1}


def test_a_kind_checks_its_own_models(colours: EncoderSpec) -> None:
    check_model("colours:rgb")
    with pytest.raises(ModelError, match="one precision"):
        check_model("colours:rgb", "bf16")
    with pytest.raises(ModelError, match="Did you mean 'demo'"):
        check_model("demos")  # nobody's: the last kind says so


@pytest.mark.parametrize("model", ["colours:rgb", "demo"])
def test_the_contract(colours: EncoderSpec, model: str) -> None:
    encoder, texts = load_encoder(EncoderSpec(model, "fp32")), ["a red box", "blue", "a red box of old"]
    found = encoder.encode_texts(texts)
    assert found.shape == (3, encoder.info()["dim"]) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    tokenise, prepare = pickle.loads(pickle.dumps((encoder.tokenise, encoder.prepare)))
    assert len(pickle.dumps(encoder.prepare)) < 1_000_000  # the model does not travel
    np.testing.assert_array_equal(encoder.encode_texts(tokenise(texts)), found)
    np.testing.assert_allclose(encoder.encode_texts(texts, 1), found, atol=1e-5)  # one text a pass
    assert encoder.encode_texts([]).shape == encoder.encode_images([]).shape == (0, encoder.info()["dim"])
    pixels = [prepare(png(name)) for name in COLOURS]
    assert all(each.values.dtype == np.uint8 and each.values.shape[2] == 3 and each.size == (40, 30) for each in pixels)
    vectors = encoder.encode_pixels(np.stack([each.values for each in pixels]))
    np.testing.assert_allclose(encoder.encode_images([png(name) for name in COLOURS]), vectors, atol=1e-5)
    with pytest.raises(Rejected):
        prepare(b"no picture")
    before = encoder.stats()
    encoder.encode_texts(texts)
    after = encoder.stats()
    assert after.seconds["forward"] > before.seconds["forward"] and after.pictures_per_pass > 0
    needed = {"model", "weights_sha256", "preprocess", "precision", "dim", "context_length"}
    assert needed <= encoder.info().keys()


def test_the_house_knows_only_the_protocol() -> None:
    package = Path(encoders.__file__).parents[1]
    known = re.compile(r"from clip_spark\.encoders\.(?!protocol |spec |names )(\w+)|\bencoder\._\w+")
    rooms = [room for room in package.iterdir() if room.is_dir() and room.name not in ("encoders", "demo")]
    odd = [
        f"{path.name}: {found[0]}"
        for room in rooms
        for path in room.rglob("*.py")
        for found in known.finditer(path.read_text())
    ]
    assert odd == []
