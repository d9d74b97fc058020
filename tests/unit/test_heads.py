"""score-embeddings: heads are read without running code, refused if they do not fit, and scores can be searched."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save

from clip_spark.analysis.heads.head import read_head, read_tensors
from clip_spark.analysis.heads.step import plan_tasks, preview, score_embeddings
from clip_spark.analysis.specs import ScoreSpec
from clip_spark.datasets.manifest import read_manifest
from clip_spark.errors import InputError, SpecError, UserError
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings

DIM, ROWS = 16, 90
VECTORS = unit_vectors(ROWS, DIM)
RNG = np.random.default_rng(2)
WEIGHT, BIAS = RNG.normal(size=(1, DIM)).astype(np.float32), np.float32([0.25])
DEEP = {
    "layers.0.weight": RNG.normal(size=(8, DIM)).astype(np.float32),
    "layers.0.bias": RNG.normal(size=8).astype(np.float32),
    "layers.2.weight": RNG.normal(size=(8, 8)).astype(np.float32),
    "layers.10.weight": RNG.normal(size=(2, 8)).astype(np.float32),
    "layers.10.bias": RNG.normal(size=2).astype(np.float32),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Embeddings of three shards, the last one smaller, and a linear head."""
    monkeypatch.setattr(
        "clip_spark.analysis.heads.step.run_shards", lambda *given, **_: [given[3](one) for one in given[2]]
    )
    write_embeddings(tmp_path / "emb", VECTORS, numbered(ROWS), shard_rows=40)
    (tmp_path / "aesthetic.safetensors").write_bytes(save({"weight": WEIGHT, "bias": BIAS}))
    return tmp_path


def scored(folder: Path, *heads: str, **options: Any) -> Any:
    given = tuple(heads or [str(folder / "aesthetic.safetensors")])
    spec = ScoreSpec(embeddings=str(folder / "emb"), head=given, output=str(folder / "scored"), **options)
    return score_embeddings(lambda: None, spec)


def test_scores_are_columns_of_the_same_records_beside_the_same_embeddings(folder: Path) -> None:
    manifest, before = scored(folder), read_manifest(str(folder / "emb"))
    table = [pq.read_table(file) for file in manifest.files("records")]
    values = np.concatenate([one["aesthetic"].to_numpy() for one in table])
    assert np.allclose(values, VECTORS @ WEIGHT[0] + 0.25, atol=1e-6)
    for folder_name in ("embeddings", "records"):
        for new, old in zip(manifest.files(folder_name), before.files(folder_name), strict=True):
            if folder_name == "embeddings":
                assert Path(new).read_bytes() == Path(old).read_bytes()
            else:
                assert pq.read_table(new).drop_columns(["aesthetic"]).equals(pq.read_table(old))
    assert preview(manifest)[0].rows[0][0] == "aesthetic" and manifest.extra["columns"][-1] == "aesthetic"
    assert scored(folder) == manifest  # done already


def test_an_index_of_scored_embeddings_is_searched_by_score(folder: Path) -> None:
    scored(folder)
    output = str(folder / "index")
    build_index(lambda: None, IndexSpec(embeddings=(str(folder / "scored"),), output=output, index_key="Flat"))
    hits = Searcher.open(output).search(VECTORS[:1], Wanted(k=ROWS, where="aesthetic > 0.5"))[0]
    expected = {row for row, value in enumerate(VECTORS @ WEIGHT[0] + 0.25) if value > 0.5}
    assert {int(hit.record["text"].split()[1]) for hit in hits} == expected


@pytest.mark.parametrize(("activation", "between"), [("linear", lambda x: x), ("relu", lambda x: np.maximum(x, 0))])
def test_layers_follow_the_numbers_in_their_names(activation: str, between: Any) -> None:
    head = read_head(save(DEEP), "h", "h", activation, "softmax")
    rows = between(VECTORS @ DEEP["layers.0.weight"].T + DEEP["layers.0.bias"])
    rows = between(rows @ DEEP["layers.2.weight"].T) @ DEEP["layers.10.weight"].T + DEEP["layers.10.bias"]
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    assert head.columns == ("h_0", "h_1")
    assert np.allclose(head.scores(VECTORS), powers / powers.sum(axis=1, keepdims=True), atol=1e-5)


def test_metadata_says_what_options_do_not_and_bf16_is_read() -> None:
    header = {
        "w.weight": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]},
        "__metadata__": {"output": "sigmoid"},
    }
    text = json.dumps(header).encode()
    data = len(text).to_bytes(8, "little") + text + bytes([0x80, 0x3F, 0x00, 0xC0])  # 1 and -2
    head = read_head(data, "h", "h", "", "")
    assert np.allclose(head.scores(np.float32([[1.0, 0.5]])), [[0.5]])


def test_what_can_run_code_or_is_damaged_is_refused() -> None:
    whole = save({"weight": WEIGHT})
    for data in (pickle.dumps({"weight": [1.0]}), b"PK\x03\x04" + b"\0" * 50, whole[:-3], b"", whole[:9], b"\xff" * 64):
        with pytest.raises(InputError, match="no safetensors file"):
            read_tensors(data, "head.pt")
    for tensors in ({"weight": WEIGHT * np.float32(np.nan)}, {"weight": WEIGHT, "other": BIAS}, {"bias": BIAS}):
        with pytest.raises(InputError, match="chain of finite linear layers"):
            read_head(save(tensors), "h", "h", "", "")


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("text={}/aesthetic.safetensors", "a column 'text' already"),
        ("{}/nowhere.safetensors", "does not exist"),
        ("{}/3d.safetensors", "gives no name"),
        ("wide={}/wide.safetensors", "takes 3 numbers; these embeddings have 16"),
        ("deep={}/deep.safetensors", "give --activation"),
    ],
)
def test_a_head_that_does_not_fit_is_refused_before_any_work(folder: Path, head: str, words: str) -> None:
    for name, tensors in {"3d": {"weight": WEIGHT}, "wide": {"weight": WEIGHT[:, :3]}, "deep": DEEP}.items():
        (folder / f"{name}.safetensors").write_bytes(save(tensors))
    with pytest.raises(UserError, match=words):
        scored(folder, head.format(folder))
    assert not (folder / "scored").exists()


def test_other_weights_under_the_same_name_are_another_plan(folder: Path) -> None:
    spec = ScoreSpec(embeddings=str(folder / "emb"), head=(str(folder / "aesthetic.safetensors"),), output="x")
    first = plan_tasks(spec).plan.fingerprint
    (folder / "aesthetic.safetensors").write_bytes(save({"weight": WEIGHT, "bias": BIAS + 1}))
    assert plan_tasks(spec).plan.fingerprint != first
    with pytest.raises(SpecError, match="--head is empty"):
        ScoreSpec(embeddings="e", head=(), output="x")


def test_a_run_that_was_killed_goes_on_with_the_other_shards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def until_killed(_spark: Any, _step: str, items: Any, work: Any, **_: Any) -> None:
        for item in items:
            if len(done) == 2:
                done.append(-1)
                raise KeyboardInterrupt
            done.append(item[0])
            work(item)

    monkeypatch.setattr("clip_spark.analysis.heads.step.run_shards", until_killed)
    with pytest.raises(KeyboardInterrupt):
        scored(folder)
    assert scored(folder).rows == ROWS and done == [0, 1, -1, 2]
