"""*Worker.* open_clip's models with pictures through ONNX Runtime, for CPUs on which it is faster than torch.

In fp32 alone: its 8-bit products scale all pictures of a pass together, so that a vector would depend on the pictures
beside it. Texts stay torch's: their batches are trees of beginnings. Measured in docs/encoding.md.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clip_spark.encoders.loading import first_line
from clip_spark.encoders.onnx_export import PIXELS, VECTORS, check_packages, exported
from clip_spark.encoders.open_clip import OpenClipEncoder
from clip_spark.encoders.spec import LEAST_COSINE, EncoderSpec
from clip_spark.errors import ModelError, UserError
from clip_spark.runtime.devices import CPU

if TYPE_CHECKING:
    import torch

NO_SPINNING = ("session.intra_op.allow_spinning", "0")
"""Threads that wait would take cores from decoding: 78 CPU ms a picture for 51 (docs/encoding.md)."""


class OnnxEncoder(OpenClipEncoder):
    """An open_clip model whose pictures ONNX Runtime computes."""

    def __init__(self, spec: EncoderSpec, device: str) -> None:
        check_packages()
        if device != CPU:
            raise UserError(
                f"--backend onnx is for CPUs, and this task has {device}; leave it out, torch is faster there."
            )
        super().__init__(replace(spec, precision="fp32"), device)
        pixels = self.sample_pixels()
        place = exported(self._model, self._preparer.normalise, pixels.shape[1:], self._weights_sha256)
        self._session = _session(place)
        _check_same(self._pass(pixels).numpy(), super()._pass(pixels).numpy(), place)

    def info(self) -> dict[str, Any]:
        """As of the model, and what computed its pictures."""
        return {**super().info(), "backend": "onnx"}

    def _pass(self, pixels: np.ndarray) -> torch.Tensor:
        """As torch's."""
        import torch

        (vectors,) = self._session.run([VECTORS], {PIXELS: np.ascontiguousarray(pixels)})
        return torch.from_numpy(vectors)


def _session(place: Path) -> Any:
    """A session with as many threads as torch would take."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.add_session_config_entry(*NO_SPINNING)
    try:
        return onnxruntime.InferenceSession(str(place), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base of their own
        raise ModelError(f"'{place}' cannot be read ({first_line(error)}); delete its folder.") from error


def _check_same(found: np.ndarray, by_torch: np.ndarray, place: Path) -> None:
    least = float((found * by_torch).sum(axis=1).min())
    if not least >= LEAST_COSINE:  # NaN too
        raise ModelError(
            f"Pictures through '{place}' are not those of the model (cosine {least:.4f}, {LEAST_COSINE} is the least); "
            "delete its folder, or leave --backend out."
        )
