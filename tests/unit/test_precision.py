"""`--precision auto`: decided by what was measured, once per machine and model, and only where the vectors stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip_spark.encoders import EncoderSpec, precision
from clip_spark.encoders.forward import Forward
from clip_spark.encoders.loading import load_model
from clip_spark.encoders.open_clip import OpenClipEncoder
from clip_spark.encoders.precision import by_speed, first_close, for_queries, heaviest_layers, measure
from clip_spark.errors import UserError
from clip_spark.runtime import devices
from clip_spark.storage.local_cache import CACHE_VARIABLE

SLOWER = {"text": {"fp32": 118.0, "bf16": 71.0}, "picture": {"fp32": 118.0, "bf16": 300.0}}
FASTER = {"text": {"fp32": 100.0, "bf16": 300.0}, "picture": {"fp32": 100.0, "bf16": 200.0}}
ALONE = {"text": {"fp32": 100.0}, "picture": {"fp32": 100.0}}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where this machine remembers what was measured."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def inject(monkeypatch: pytest.MonkeyPatch, rates: precision.Rates) -> list[str]:
    """Let this be what is measured; the list notes each time."""
    measured: list[str] = []

    def invented(_layers: object, device: str) -> precision.Rates:
        measured.append(device)
        return rates

    monkeypatch.setattr(precision, "measure", invented)
    monkeypatch.setattr(precision, "SLOWEST", float("inf"))  # nothing here depends on the clock
    return measured


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        (SLOWER, ["fp32"]),
        (FASTER, ["bf16", "fp32"]),
        (ALONE, ["fp32"]),
        ({"text": {"fp32": 100.0, "bf16": 102.0}}, ["fp32"]),  # noise
        ({"text": {"fp32": 1.0, "bf16": 3.0, "fp16": 4.0, "tf32": 2.0}}, ["fp16", "bf16", "tf32", "fp32"]),
        ({"text": {"fp32": 1.0, "bf16": 9.0}, "picture": {"fp32": 1.0, "fp16": 9.0}}, ["fp32"]),
    ],
)
def test_only_what_gains_in_both_towers_is_better_than_fp32(rates: precision.Rates, expected: list[str]) -> None:
    assert by_speed(rates) == expected


@pytest.mark.parametrize(("rates", "expected"), [(SLOWER, "fp32"), (FASTER, "bf16"), (ALONE, "fp32")])
def test_auto_is_what_was_measured_to_be_fastest(
    kept: Path, monkeypatch: pytest.MonkeyPatch, rates: precision.Rates, expected: str
) -> None:
    inject(monkeypatch, rates)
    encoder = OpenClipEncoder(EncoderSpec("demo"), "cpu")
    assert (encoder.info()["precision"], encoder.stats().rates) == (expected, rates)
    same = OpenClipEncoder(EncoderSpec("demo", expected), "cpu")
    np.testing.assert_array_equal(encoder.encode_texts(["a dog"]), same.encode_texts(["a dog"]))
    assert same.stats().rates == {}  # nothing was measured for what was asked for


def test_a_precision_that_loses_the_vectors_is_passed_over() -> None:
    exact = np.eye(2, dtype=np.float32)
    vectors = {
        "fp32": exact,
        "fp16": np.full((2, 2), np.nan, np.float32),  # it overflowed
        "tf32": np.array([[1, 0], [0.6, 0.8]], np.float32),
        "bf16": exact,
    }
    cosines: dict[str, float] = {}
    found = first_close(["fp16", "tf32", "bf16", "fp32"], lambda name: (vectors[name], 1.0), cosines)
    assert found == "bf16" and cosines == {"fp16": -1.0, "tf32": 0.8, "bf16": 1.0}
    assert first_close(["fp16", "fp32"], lambda name: (vectors[name], 1.0), {}) == "fp32"


def test_a_precision_whose_pass_is_slow_is_passed_over_though_its_products_gain() -> None:
    seconds = {"fp32": 1.0, "fp16": 5.0, "bf16": 1.2}
    assert first_close(["fp16", "bf16", "fp32"], lambda name: (np.eye(2), seconds[name]), {}) == "bf16"
    assert first_close(["fp16", "fp32"], lambda name: (np.eye(2), seconds[name]), {}) == "fp32"


def test_it_is_measured_once_per_machine_and_model(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = inject(monkeypatch, FASTER)
    for _ in range(2):
        assert OpenClipEncoder(EncoderSpec("demo"), "cpu").info()["precision"] == "bf16"
    assert len(measured) == 1
    monkeypatch.setattr(devices, "describe", lambda device: ["another CPU"])
    OpenClipEncoder(EncoderSpec("demo"), "cpu")
    assert len(measured) == 2 and len(list(kept.glob("precision-*.json"))) == 2


@pytest.mark.parametrize(
    "damage", ['{"precision": "bf', "[]", '{"precision": "bf16", "rates": {}, "cosines": {}}', '{"precision": "int8"}']
)
def test_a_damaged_file_is_measured_again(kept: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    measured = inject(monkeypatch, FASTER)
    OpenClipEncoder(EncoderSpec("demo"), "cpu")
    (place,) = kept.glob("precision-*.json")
    whole = place.read_text()
    place.write_text(damage)
    assert OpenClipEncoder(EncoderSpec("demo"), "cpu").info()["precision"] == "bf16"
    assert len(measured) == 2 and place.read_text() == whole


def test_a_folder_that_cannot_be_written_only_costs_the_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    inject(monkeypatch, FASTER)
    assert OpenClipEncoder(EncoderSpec("demo"), "cpu").info()["precision"] == "bf16"


def test_the_models_own_products_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "SECONDS", 0.001)
    layers = heaviest_layers(load_model("demo").model)
    assert layers["text"].weight.shape == (4 * 128, 128)  # the widest of a text block
    rates = measure(layers, "cpu")
    assert set(rates) == {"text", "picture"}
    assert all(set(rate) == set(devices.precisions("cpu")) and min(rate.values()) > 0 for rate in rates.values())
    assert json.loads(json.dumps(rates)) == rates


def test_devices_name_their_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def able(**abilities: Any) -> list[str]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"f16c": True, "architecture": "x", **abilities})
        return devices.precisions("cpu")

    assert torch.cpu.get_capabilities()["architecture"]  # torch still tells
    assert able(avx512_bf16=False, avx512_fp16=False) == ["fp32"]
    assert able(avx512_bf16=True) == ["fp32", "bf16"]
    assert able(amx_bf16=True, amx_fp16=True) == ["fp32", "bf16", "fp16"]


def test_precisions_that_a_device_does_not_have_are_refused() -> None:
    devices.check_precision("bf16", "cpu")
    with pytest.raises(UserError, match="int8 is for CPUs, and this task has cuda:0"):
        devices.check_precision("int8", "cuda:0")
    with pytest.raises(UserError, match="tf32 is for GPUs"):
        OpenClipEncoder(EncoderSpec("demo", "tf32"), "cpu")


@pytest.mark.parametrize(
    ("stored", "device", "expected"),
    [
        ("fp32", "cpu", "fp32"),
        ("bf16", "cpu", "fp32"),
        ("tf32", "cpu", "fp32"),
        ("int8", "cpu", "int8"),
        ("int8", "cuda:0", "fp32"),
        ("bf16", "cuda:0", "bf16"),
    ],
)
def test_queries_follow_the_index(stored: str, device: str, expected: str) -> None:
    assert for_queries(stored, device) == expected


def test_tf32_lasts_as_long_as_the_pass() -> None:
    import torch

    before = torch.get_float32_matmul_precision()
    with Forward("cpu", "tf32").computing():
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before


def test_weights_are_short_on_every_device() -> None:
    import torch

    kinds = {("cuda:0", "fp16"): torch.float16, ("cuda:0", "bf16"): torch.bfloat16, ("cpu", "fp16"): torch.float16}
    kinds |= {("cuda:0", "tf32"): torch.float32, ("cpu", "int8"): torch.float32, ("cuda:0", "fp32"): torch.float32}
    assert {key: Forward(*key).weights for key in kinds} == kinds
