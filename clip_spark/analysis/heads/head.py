"""*Pure.* A head: a linear layer or a few of them, read from the bytes of a safetensors file, which can run no code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip_spark.errors import InputError, SpecError

LINEAR, RELU, GELU = "linear", "relu", "gelu"
ACTIVATIONS = (LINEAR, RELU, GELU)
"""Between layers. `linear` is none at all: the known aesthetic predictors are such products of matrices."""
PLAIN, SIGMOID, SOFTMAX = "plain", "sigmoid", "softmax"
OUTPUTS = (PLAIN, SIGMOID, SOFTMAX)
MOST_HEADER = 1 << 20
MOST_OUTPUTS = 16
KINDS: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}


@dataclass(frozen=True)
class Head:
    """A small model over unit vectors; picklable.

    Attributes:
        name: of the column that its scores become.
        layers: weight float32 (out, in) and bias float32 (out,) of each, the first layer first.
        activation: one of ACTIVATIONS.
        output: one of OUTPUTS.
    """

    name: str
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    activation: str
    output: str

    @property
    def dim(self) -> int:
        """Numbers of an embedding."""
        return int(self.layers[0][0].shape[1])

    @property
    def columns(self) -> tuple[str, ...]:
        """*Pure.* The column, or one for each output, numbered from 0."""
        count = len(self.layers[-1][1])
        return (self.name,) if count == 1 else tuple(f"{self.name}_{number}" for number in range(count))

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """*Pure.* Of unit vectors float32 (n, dim): float32 (n, outputs)."""
        rows = vectors
        for number, (weight, bias) in enumerate(self.layers):
            rows = rows @ weight.T + bias
            if number + 1 < len(self.layers):
                rows = activated(rows, self.activation)
        return squashed(rows, self.output)


def activated(rows: np.ndarray, how: str) -> np.ndarray:
    """*Pure.* An activation between layers; gelu in its tanh form, which differs by less than 0.001."""
    if how == GELU:
        return np.asarray(0.5 * rows * (1 + np.tanh(0.7978845608 * (rows + 0.044715 * rows**3))), np.float32)
    return np.maximum(rows, 0) if how == RELU else rows


def squashed(rows: np.ndarray, how: str) -> np.ndarray:
    """*Pure.* Outputs float32 (n, m) as scores."""
    if how == SIGMOID:
        return np.asarray(0.5 * (1 + np.tanh(0.5 * rows)), np.float32)  # no overflow
    if how == SOFTMAX:
        powers = np.exp(rows - rows.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
    return rows


def read_head(data: bytes, uri: str, name: str, activation: str, output: str) -> Head:
    """*Pure.* A head from the bytes of a file.

    Args:
        data: of the file.
        uri: for messages.
        name: of the column.
        activation: one of ACTIVATIONS; empty takes what the file's metadata says.
        output: one of OUTPUTS; the same.

    Raises:
        InputError: the file is no safetensors file, or holds no chain of linear layers.
        SpecError: it has several layers, and nothing says what lies between them.
    """
    tensors, metadata = read_tensors(data, uri)
    layers = chain(tensors, uri)
    activation, output = activation or metadata.get("activation", ""), output or metadata.get("output", PLAIN)
    if len(layers) > 1 and not activation:
        raise SpecError(f"'{uri}' has {len(layers)} layers and does not say what is between; give --activation.")
    for what, value, known in (("activation", activation or LINEAR, ACTIVATIONS), ("output", output, OUTPUTS)):
        if value not in known:
            raise InputError(f"'{uri}' has the {what} '{value}'; known are {', '.join(known)}.")
    outputs = len(layers[-1][1])
    if outputs > MOST_OUTPUTS or (output == SOFTMAX and outputs == 1):
        raise InputError(
            f"'{uri}' ends in {outputs} outputs; 1 to {MOST_OUTPUTS} become columns, and softmax needs two."
        )
    return Head(name, layers, activation or LINEAR, output)


def read_tensors(data: bytes, uri: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """*Pure.* The tensors of a safetensors file as float32, and its metadata; raises InputError."""
    try:
        length = int.from_bytes(data[:8], "little")
        if not 2 <= length <= min(MOST_HEADER, len(data) - 8):
            raise ValueError("no header")
        listed: dict[str, Any] = json.loads(data[8 : 8 + length])
        metadata = listed.pop("__metadata__", {})
        body = memoryview(data)[8 + length :]
        return {name: _tensor(body, one) for name, one in listed.items()}, metadata
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"'{uri}' is no safetensors file of floats ({error}); others may run code when they are read. "
            "Write it with safetensors.torch.save_file(model.state_dict(), path)."
        ) from error


def _tensor(body: memoryview, one: Mapping[str, Any]) -> np.ndarray:
    start, end = one["data_offsets"]
    if not 0 <= start <= end <= len(body):
        raise ValueError("cut short")
    kind = KINDS[str(one["dtype"])]
    found = np.frombuffer(body[start:end], kind).reshape(one["shape"])
    if one["dtype"] == "BF16":
        found = (found.astype("<u4") << 16).view("<f4")
    return np.ascontiguousarray(found, np.float32)


def chain(tensors: Mapping[str, np.ndarray], uri: str) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """*Pure.* The linear layers in the order of the numbers in their names; raises InputError if they do not fit."""
    prefixes = {name.removesuffix("weight") for name in tensors if name.endswith("weight")}
    layers = []
    for prefix in sorted(prefixes, key=_natural):
        weight = np.atleast_2d(tensors[f"{prefix}weight"])
        bias = np.atleast_1d(tensors.get(f"{prefix}bias", np.zeros(len(weight), np.float32)))
        layers.append((weight, bias))
    left = tensors.keys() - {f"{prefix}{what}" for prefix in prefixes for what in ("weight", "bias")}
    fits = all(
        w.ndim == 2 and b.shape == (len(w),) and np.isfinite(w).all() and np.isfinite(b).all() for w, b in layers
    )
    ends = [(len(first[0]), second[0].shape[1]) for first, second in zip(layers, layers[1:], strict=False)]
    if left or not layers or not fits or any(out != into for out, into in ends):
        raise InputError(
            f"'{uri}' holds {', '.join(sorted(tensors)[:6]) or 'nothing'}; a head is a chain of finite linear layers, "
            "each a weight (outputs, inputs) and perhaps a bias, in the order of the numbers in their names."
        )
    return tuple(layers)


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
