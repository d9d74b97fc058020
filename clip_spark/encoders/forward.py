"""*Worker.* Forward passes: the device, its precision, and batches that shrink when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from clip_spark.runtime.devices import CPU

if TYPE_CHECKING:
    import torch


class Forward:
    """*Worker.* Runs functions of tensors on one device in one precision.

    Attributes:
        device: `cpu` or `cuda:N`.
        precision: bf16 and fp16 are the type of the weights and of all between them: under torch's autocast a GPU does
            0.7 as much (docs/gpu.md) and a CPU with AMX 0.05 (docs/encoding.md). tf32 is fp32 with short products.
        weights: that type.
    """

    def __init__(self, device: str, precision: str) -> None:
        import torch

        self.device, self.precision = device, precision
        self.weights = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)

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

        usual = torch.get_float32_matmul_precision()
        with torch.inference_mode():
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
        self,
        total: int,
        stop_of: Callable[[int, int], int],
        forward: Callable[[int, int], torch.Tensor],
        order: np.ndarray | None = None,
    ) -> np.ndarray:
        """*Worker.* The vectors of items 0 to `total`, float32 (total, d), from one pass after another.

        They stay on the device until the last pass is asked for, so that it never waits between two passes.

        Args:
            total: how many items there are; at least one.
            stop_of: (first item, size) -> the item behind the last one of a batch of that size.
            forward: (first item, stop) -> their vectors.
            order: int64 (total,), the row that each item's vector gets; None keeps their order.
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
        return _fetched(torch.cat(parts), order)

    def _shrink(self) -> None:
        import torch

        self.size = max(1, self.size // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def on_device(numbers: np.ndarray, device: str) -> torch.Tensor:
    """*Worker.* The same numbers there; a GPU takes them from pinned memory when it gets to it."""
    import torch

    tensor = torch.from_numpy(numbers)
    return tensor if device == CPU else tensor.pin_memory().to(device, non_blocking=True)


def _fetched(vectors: torch.Tensor, order: np.ndarray | None) -> np.ndarray:
    """*Worker.* Vectors (n, d) in memory, each at its row; a GPU writes to pinned memory 20 times as fast."""
    import torch

    if order is not None:
        places = on_device(np.argsort(order), str(vectors.device))
        vectors = vectors.index_select(0, places)
    if vectors.is_cuda:
        vectors = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True).copy_(vectors)
    return vectors.numpy()


def is_out_of_memory(error: RuntimeError) -> bool:
    """*Worker.* True if a smaller batch may succeed."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
