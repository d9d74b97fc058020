"""*Worker.* Forward passes: the device, its precision, and batches that shrink when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


class Forward:
    """*Worker.* Runs functions of tensors on one device in one precision.

    Attributes:
        device: `cpu` or `cuda:N`.
        precision: bf16 and fp16 are torch's autocast, tf32 is fp32 with short products, all else computes as the
            model is.
    """

    def __init__(self, device: str, precision: str) -> None:
        self.device, self.precision = device, precision

    def __call__(self, function: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The rows that `function` makes (n, d), scaled to length 1, as float32; a GPU may still be computing them."""
        import torch

        with self.computing():
            vectors = function().float()
            return torch.nn.functional.normalize(vectors, dim=-1)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Torch computes in this precision, and keeps nothing for gradients."""
        import torch

        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        kind, usual = self.device.split(":")[0], torch.get_float32_matmul_precision()
        with torch.inference_mode(), torch.autocast(kind, dtype=dtype, enabled=dtype is not None):
            if self.precision == "tf32":
                torch.set_float32_matmul_precision("high")
            try:
                yield
            finally:
                torch.set_float32_matmul_precision(usual)


class BatchSize:
    """How much one forward pass takes; halved when the device runs out of memory, and remembered."""

    def __init__(self, size: int) -> None:
        self.size = self._requested = size

    def request(self, size: int) -> None:
        """Take another size; 0, or the size of the last request, keeps what is (it may have been halved since)."""
        if size and size != self._requested:
            self.size = self._requested = size

    def run(
        self, total: int, stop_of: Callable[[int, int], int], forward: Callable[[int, int], torch.Tensor]
    ) -> np.ndarray:
        """*Worker.* The vectors of items 0 to `total`, float32 (total, d), in order, from one pass after another.

        They stay on the device until the last pass is asked for, so that it never waits between two passes.

        Args:
            total: how many items there are; at least one.
            stop_of: (first item, size) -> the item behind the last one of a batch of that size.
            forward: (first item, stop) -> their vectors.
        """
        import torch

        parts: list[torch.Tensor] = []
        start = 0
        while start < total:
            stop = max(start + 1, min(total, stop_of(start, self.size)))
            try:
                parts.append(forward(start, stop))
            except RuntimeError as error:
                if not is_out_of_memory(error) or stop == start + 1:
                    raise
                self._shrink()
                continue
            start = stop
        return torch.cat(parts).cpu().numpy()

    def _shrink(self) -> None:
        import torch

        self.size = max(1, self.size // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def is_out_of_memory(error: RuntimeError) -> bool:
    """*Worker.* True if a smaller batch may succeed."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
