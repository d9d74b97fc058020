"""*Pure.* Which encoder, and how it computes."""

from __future__ import annotations

from dataclasses import dataclass

from clip_spark.datasets.spec import check_choice, check_not_empty
from clip_spark.errors import SpecError
from clip_spark.pictures.look import Look

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "tf32", "int8")
BACKENDS = ("torch", "onnx")
"""What computes pictures."""
LEAST_COSINE = 0.999
"""What a vector may differ by between two precisions that count as the same embedding."""
LEAST_GAIN = 1.05
"""A precision must be so many times as fast as another to be worth its rounding; less is noise."""


@dataclass(frozen=True)
class EncoderSpec:
    """Which model, and how it computes; travels to the workers, which load it once each.

    Attributes:
        model: `demo`, `ARCH:PRETRAINED`, `ARCH:/path/or/uri/to/weights`, or an OpenAI name such as `ViT-B/32`.
        precision: one of PRECISIONS; `auto` is what was measured to be the fastest that keeps the vectors;
            `tf32` is for GPUs, `int8` for pictures on CPUs.
        look: how pictures are turned and what is laid under them.
        backend: one of BACKENDS; `onnx` computes pictures in fp32, on CPUs.
    """

    model: str = "demo"
    precision: str = "auto"
    look: Look = Look()
    backend: str = "torch"

    def __post_init__(self) -> None:
        check_not_empty("model", self.model)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("backend", self.backend, BACKENDS)
        check_backend_computes(self.backend, self.precision)


def check_backend_computes(backend: str, precision: str) -> None:
    """*Pure.* Refuse a precision that a backend has not, also one that only a step knows."""
    if backend == "onnx" and precision not in ("auto", "fp32"):
        raise SpecError(f"--backend onnx computes in fp32; leave out --precision {precision}, or --backend.")
