"""One precision for all tasks of a run: the first task decides, the others and every resumed run follow."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from clip_spark import encoders, storage
from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import read_embeddings
from clip_spark.datasets.manifest import REPORT, Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import Run, begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.embed import preview
from clip_spark.embed.facts import facts, with_precision
from clip_spark.embed.record_slices import plan_shards
from clip_spark.embed.task import ENCODER, EncodeTask, check_agrees, note_encoder
from clip_spark.embed.texts import TextWork
from clip_spark.encoders import EncoderSpec, load_encoder, precision
from clip_spark.errors import ModelError, OutputError
from clip_spark.storage.local_cache import CACHE_VARIABLE

TEXTS = ["red dog", "blue cat", "old house"]
FAST = {"text": {"fp32": 100.0, "bf16": 300.0}, "picture": {"fp32": 100.0, "bf16": 200.0}}
SLOW = {"text": {"fp32": 100.0, "bf16": 30.0}, "picture": {"fp32": 100.0, "bf16": 20.0}}


@pytest.fixture
def records(tmp_path: Path) -> Manifest:
    """TEXTS as one file of records."""
    run = begin_run(str(tmp_path / "records"), Plan("records", {}, {}, 1), overwrite=False)
    rows = [{"record_id": schema.record_id(text), "text": text} for text in TEXTS]
    columns = pa.schema([("record_id", pa.string()), ("text", pa.string())])
    with ShardWriter(run.output, run.plan.fingerprint, 0, {"records": columns}) as writer:
        writer.write("records", pa.Table.from_pylist(rows, schema=columns))
        writer.finish()
    return run.commit()


def be_machine(monkeypatch: pytest.MonkeyPatch, cache: Path, rates: precision.Rates) -> None:
    """Go on as a process of another machine: no encoder is loaded, nothing is remembered, `rates` would be measured."""
    monkeypatch.setattr(encoders, "_loaded", {})
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))
    monkeypatch.setattr(precision, "measure", lambda *_: rates)
    monkeypatch.setattr(precision, "SLOWEST", float("inf"))  # nothing here depends on the clock


def begun(output: Path, plan: Plan) -> tuple[Run, TextWork]:
    run = begin_run(str(output), plan, overwrite=False)
    return run, TextWork(EncodeTask(run.output, run.plan.fingerprint, EncoderSpec("demo")), ("{}",))


@pytest.mark.parametrize(("first", "second", "expected"), [(FAST, SLOW, "bf16"), (SLOW, FAST, "fp32")])
def test_other_machines_and_resumed_runs_follow_the_first_task(
    records: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: Any, second: Any, expected: str
) -> None:
    shards = plan_shards([records], 1)
    plan = Plan("embeddings", {}, {}, len(shards))
    be_machine(monkeypatch, tmp_path / "one", first)
    begun(tmp_path / "out", plan)[1](shards[0])
    be_machine(monkeypatch, tmp_path / "two", second)
    run, work = begun(tmp_path / "out", plan)  # killed, and run again elsewhere
    for number in run.pending():
        work(shards[number])
    manifest = run.commit(facts(run, "text", 0.0), with_precision(run))
    found = np.concatenate([read_embeddings(uri) for uri in manifest.files("embeddings")])
    same = load_encoder(EncoderSpec("demo", expected))
    np.testing.assert_array_equal(found, np.concatenate([same.encode_texts([text]) for text in TEXTS]))
    report = storage.read_json(storage.join(manifest.uri, REPORT))
    assert (report["precision"], report["precision_rates"]) == (expected, first)
    assert manifest.extra["encoder"] == same.info()  # the rates are no part of the identity
    assert "text products in bf16, billions a second" in str(preview(manifest)[0].rows)


def test_of_many_first_tasks_one_decides(tmp_path: Path) -> None:
    plan = begin_run(str(tmp_path / "out"), Plan("embeddings", {}, {}, 1), overwrite=False).plan.fingerprint
    kinds = [load_encoder(EncoderSpec("demo", kind)) for kind in ("fp32", "bf16", "fp16")]
    with ThreadPoolExecutor(6) as pool:
        noted = list(pool.map(lambda encoder: note_encoder(str(tmp_path / "out"), plan, encoder), kinds * 2))
    assert len({json.dumps(each) for each in noted}) == 1
    assert noted[0] == storage.read_json(str(tmp_path / "out" / ENCODER))


def test_a_late_task_of_another_run_decides_nothing(tmp_path: Path) -> None:
    begin_run(str(tmp_path / "out"), Plan("embeddings", {}, {}, 1), overwrite=False)
    with pytest.raises(OutputError, match="another run"):
        note_encoder(str(tmp_path / "out"), "the old plan", load_encoder(EncoderSpec("demo", "fp32")))
    assert not (tmp_path / "out" / ENCODER).exists()


@pytest.mark.parametrize("odd", ["weights_sha256", "precision"])
def test_another_encoder_on_another_node_is_noticed(odd: str) -> None:
    info = {"model": "m", "weights_sha256": "a", "preprocess": {}, "dim": 2, "context_length": 8, "precision": "bf16"}
    check_agrees("out", info, {**info, "rates": {}})
    with pytest.raises(ModelError, match=odd):
        check_agrees("out", {**info, odd: "b"}, info)
