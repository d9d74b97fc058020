"""*Worker.* Models as functions: texts or pictures in, unit vectors out. No Spark needed.

from clip_spark.encoders import EncoderSpec, load_encoder
encoder = load_encoder(EncoderSpec("demo"))
encoder.encode_texts(["a dog", "a cat"])     # float32 (2, d)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clip_spark.encoders.kinds import kind_of
from clip_spark.encoders.spec import EncoderSpec

if TYPE_CHECKING:
    from clip_spark.encoders.protocol import Encoder

__all__ = ["EncoderSpec", "check_backend", "check_model", "load_encoder", "load_encoder_like", "load_query_texts"]

_loaded: dict[tuple[EncoderSpec, str], Encoder] = {}


def check_model(model: str, precision: str = "auto") -> None:
    """*Driver.* Make sure, in milliseconds, that a `--model` can be loaded.

    Raises:
        ModelError: unknown architecture or tag (the nearest one is named), weights that are not there, or a model
            that has no such precision.
    """
    kind_of(model).check(model, precision)


def check_backend(backend: str) -> None:
    """*Driver.* Raises ModelError where the packages of what shall compute pictures are not installed."""
    if backend == "onnx":
        from clip_spark.encoders.onnx_export import check_packages

        check_packages()


def load_encoder(spec: EncoderSpec, device: str | None = None) -> Encoder:
    """*Worker.* The encoder of a spec, loaded once per process and device.

    Args:
        spec: which model and how it computes.
        device: `cpu`, `cuda:0`, ...; None takes what the task or the machine has.

    Raises:
        ModelError: the model is unknown, or its weights cannot be fetched or do not fit.
    """
    from clip_spark.runtime import devices

    device = device or devices.pick_device()
    if (spec, device) not in _loaded:
        encoder = _loaded[spec, device] = kind_of(spec.model).load(spec, device)
        _loaded.setdefault(
            (replace(spec, precision=encoder.info()["precision"]), device), encoder
        )  # what `auto` has become
    return _loaded[spec, device]


def load_encoder_like(info: Mapping[str, Any], device: str | None = None) -> Encoder:
    """*Worker.* An encoder for queries of vectors that another one has made, as close to them as this machine can.

    Args:
        info: what that encoder's `info()` said; the precision may be missing in old ones.
        device: as of `load_encoder`.

    Raises:
        ModelError: as `load_encoder`.
    """
    from clip_spark.encoders.precision import for_queries
    from clip_spark.pictures.look import Look
    from clip_spark.runtime import devices

    device = device or devices.pick_device()
    precision = for_queries(info.get("precision", "fp32"), device)
    return load_encoder(EncoderSpec(info["model"], precision, look=Look.of(info)), device)


def load_query_texts(info: Mapping[str, Any]) -> Any:
    """*Worker.* The text half alone of an encoder, which starts in no time; None where this machine does not know it.

    Args:
        info: what that encoder's `info()` said.

    Returns:
        what has `encode_texts`, for few texts.
    """
    from clip_spark.encoders import query_texts

    return query_texts.load_query_texts(info)
