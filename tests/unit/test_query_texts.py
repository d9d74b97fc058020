"""Queries without torch: the model's own vectors, and only where they were compared with it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip_spark.encoders import EncoderSpec, load_encoder, query_texts
from clip_spark.encoders.bpe import Bpe
from clip_spark.encoders.query_texts import QueryTexts, compare, load_query_texts
from clip_spark.encoders.query_tower import QueryTower, gelu, quick_gelu
from tests.helpers_models import small_model
from tests.helpers_web import make_indices

TEXTS = ["dog", "a red apple on a table", "Café &amp; crème", "word " * 90, "日本 語", "a <end_of_text> b", "🐕 it's 3"]


@pytest.fixture(scope="module")
def encoder() -> Any:
    return load_encoder(EncoderSpec("demo", "fp32"), "cpu")


@pytest.fixture(scope="module")
def theirs() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def test_the_vectors_are_the_models(encoder: Any) -> None:
    found = load_query_texts(encoder.info())
    assert found is not None, "loading the model has compared it"
    np.testing.assert_allclose(found.encode_texts(TEXTS), encoder.encode_texts(TEXTS), atol=1e-6)


@given(st.text(max_size=40))
def test_any_text_has_open_clips_ids(ours: Bpe, theirs: Any, text: str) -> None:
    assert ours.encode(text) == theirs.encode(text)


@pytest.fixture(scope="module")
def ours() -> Bpe:
    return Bpe()


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("custom", [False, True])
def test_both_kinds_of_gelu_and_of_model_are_the_same(
    quick: bool, custom: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_model(tmp_path / "model", quick, custom)
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path / "cache"))
    model = load_encoder(EncoderSpec(f"local-dir:{folder}", "fp32"), "cpu")
    found = load_query_texts(model.info())
    assert found is not None
    np.testing.assert_allclose(found.encode_texts(TEXTS), model.encode_texts(TEXTS), atol=1e-6)


def test_a_tower_that_differs_is_not_used(
    encoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: Any
) -> None:
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path))
    wrong = [
        replace(facts, heads=1),
        replace(facts, quick=True),
        replace(facts, prefix="other."),
        replace(facts, layers=9),
    ]
    for number, one in enumerate(wrong):
        info = {**encoder.info(), "model": f"model {number}"}
        compare(info, one, encoder.encode_texts)
        assert load_query_texts(info) is None


@pytest.fixture
def facts(encoder: Any) -> Any:
    return load_query_texts(encoder.info())._tower.facts


def test_weights_that_have_changed_are_not_used(
    encoder: Any, facts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path))
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(Path(facts.path).read_bytes())
    here = replace(facts, path=str(weights), mtime_ns=os.stat(weights).st_mtime_ns)
    compare(encoder.info(), here, encoder.encode_texts)
    assert isinstance(load_query_texts(encoder.info()), QueryTexts)
    os.utime(weights, ns=(0, 0))
    assert load_query_texts(encoder.info()) is None
    weights.unlink()
    assert load_query_texts(encoder.info()) is None


def test_a_damaged_note_is_made_again(
    encoder: Any, facts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path))
    note = tmp_path / query_texts._name(encoder.info())
    for damaged in ("", "[]", '{"path": "/nowhere"}', "null"):
        note.write_text(damaged)
        assert load_query_texts(encoder.info()) is None
        compare(encoder.info(), facts, encoder.encode_texts)
        assert load_query_texts(encoder.info()) is not None


def test_the_activations_are_torchs() -> None:
    import torch

    x = np.linspace(-6, 6, 101, dtype=np.float32).reshape(1, -1)
    there = torch.from_numpy(x)
    np.testing.assert_allclose(gelu(x), torch.nn.functional.gelu(there).numpy(), atol=1e-6)
    np.testing.assert_allclose(quick_gelu(x), (there * torch.sigmoid(1.702 * there)).numpy(), atol=1e-6)


def test_a_tower_of_no_safetensors_file_is_an_error(facts: Any, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"\x00" * 7)
    with pytest.raises(ValueError):
        QueryTower(replace(facts, path=str(tmp_path / "x.safetensors")))


def test_a_search_for_a_text_imports_nothing_that_it_does_not_use(tmp_path: Path, encoder: Any) -> None:
    uri = make_indices(tmp_path, 4)["images"]
    code = (
        "import sys; from clip_spark.jobs.cli import main; status = main(sys.argv[1:]); "
        "heavy = [n for n in ('torch', 'open_clip', 'pandas', 'duckdb', 'pyspark', 'PIL') if n in sys.modules]; "
        "print(status, heavy)"
    )
    command = [sys.executable, "-c", code, "search", "--index", uri, "--text", "dog", "-k", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr
