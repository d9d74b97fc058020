"""*Anywhere.* The kinds of encoders, each by the models that it knows: the one place to add another.

A kind is imported when it loads or checks a model; nothing here brings torch along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clip_spark.encoders import names
from clip_spark.encoders.spec import EncoderSpec

if TYPE_CHECKING:
    from clip_spark.encoders.protocol import Encoder


@dataclass(frozen=True)
class Kind:
    """One kind of encoder.

    Attributes:
        owns: *Pure.* whether a `--model` is of this kind.
        check: *Driver.* (model, precision); raises ModelError for what cannot be loaded, in milliseconds.
        load: *Worker.* the encoder of a spec on a device such as `cpu` or `cuda:0`.
    """

    owns: Callable[[str], bool]
    check: Callable[[str, str], object]
    load: Callable[[EncoderSpec, str], Encoder]


def _open_clip(spec: EncoderSpec, device: str) -> Encoder:
    if spec.backend == "onnx":
        from clip_spark.encoders.onnx_encoder import OnnxEncoder

        return OnnxEncoder(spec, device)
    from clip_spark.encoders.open_clip import OpenClipEncoder

    return OpenClipEncoder(spec, device)


KINDS = [Kind(owns=lambda model: True, check=names.check_model, load=_open_clip)]
"""Asked in this order; the last takes every model, and says what is wrong with one that nobody knows."""


def kind_of(model: str) -> Kind:
    """*Pure.* The kind of a `--model`."""
    return next(kind for kind in KINDS if kind.owns(model))
