"""*Worker.* What `--precision auto` means: measured with the model's own sizes on this device, not believed.

A CPU may have instructions for bf16 and still multiply faster in fp32. So the largest product of each tower is timed in
each precision that the device has, and the fastest one is taken that gains in both towers and keeps the vectors. That
takes a second, once per machine and model: the answer is kept beside the fetched weights.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clip_spark.encoders.forward import Forward
from clip_spark.encoders.spec import LEAST_COSINE, LEAST_GAIN
from clip_spark.runtime import devices
from clip_spark.storage.local_cache import remember, remembered_name

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
Sample = Callable[[str], tuple[np.ndarray, float]]
"""A precision -> vectors of a few texts and pictures in it, float32 (n, d), rows of length 1; seconds of their pass."""
Rates = dict[str, dict[str, float]]
"""Tower (text, picture) -> precision -> billions of operations a second."""

SECONDS = 0.05
"""So long one product is repeated; its best time counts, for other work on the machine only adds."""
ROWS = {devices.CPU: 1024, "cuda": 16_384}
"""Tokens (or points of pictures) in the product: about those of a forward pass."""
SLOWEST = 3.0
"""The pass of a sample may take so many times that in fp32: it is small, but shows what no product shows, such as a
convolution without a kernel of that type."""
WAY = "weights of that type"
"""How short precisions are computed; what was measured of another way is not asked."""
SIDE = 14
"""Side of the pictures in a measured convolution, in points."""


@dataclass(frozen=True)
class Choice:
    """What `auto` is here, and why.

    Attributes:
        precision: one of fp32, bf16, fp16 and tf32.
        rates: what was measured.
        cosines: precision -> the least cosine of a sample to its vectors in fp32, of those that were tried.
    """

    precision: str
    rates: Rates
    cosines: dict[str, float]


def choose_precision(model: Any, device: str, weights_sha256: str, sample: Sample) -> Choice:
    """*Worker.* The fastest precision for a model on a device, from this machine's memory or measured now.

    Args:
        model: open_clip's, in fp32.
        device: where it computes.
        weights_sha256: of the model.
        sample: what is tried.
    """
    layers = heaviest_layers(model)
    sizes = {tower: tuple(layer.weight.shape) for tower, layer in layers.items()}
    name = remembered_name("precision", [devices.describe(device), sorted(sizes.items()), weights_sha256, WAY])

    def decide() -> dict[str, Any]:
        rates = measure(layers, device)
        cosines: dict[str, float] = {}
        precision = first_close(by_speed(rates), sample, cosines)
        log.info("measured %s: %s, in billions of operations a second", precision, rates)
        return asdict(Choice(precision, rates, cosines))

    return Choice(**remember(name, decide, is_choice))


def is_choice(value: Any) -> bool:
    """*Pure.* True for what `choose_precision` remembers; a damaged file is none."""
    try:
        return value["precision"] in by_speed(value["rates"]) and isinstance(value["cosines"], dict)
    except (TypeError, KeyError, AttributeError, ZeroDivisionError, ValueError):
        return False


def by_speed(rates: Mapping[str, Mapping[str, float]]) -> list[str]:
    """*Pure.* The precisions that gain on fp32 in every tower, the fastest first, and last fp32 itself."""
    gains = {
        precision: min(tower.get(precision, 0.0) / tower["fp32"] for tower in rates.values())
        for precision in dict.fromkeys(name for tower in rates.values() for name in tower)
    }
    better = [precision for precision, gain in gains.items() if precision != "fp32" and gain >= LEAST_GAIN]
    return [*sorted(better, key=lambda precision: -gains[precision]), "fp32"]


def first_close(precisions: list[str], sample: Sample, cosines: dict[str, float]) -> str:
    """*Worker.* The first precision, ending with fp32, that keeps a sample's vectors and time; adds to `cosines`."""
    exact, usual = sample("fp32") if len(precisions) > 1 else (np.zeros((0, 0), np.float32), 0.0)
    for precision in precisions[:-1]:
        vectors, seconds = sample(precision)
        least = float((vectors * exact).sum(axis=1).min())
        cosines[precision] = round(least, 6) if np.isfinite(least) else -1.0
        if least >= LEAST_COSINE and seconds <= SLOWEST * usual:  # false for NaN: half precision can overflow
            return precision
    return precisions[-1]


def heaviest_layers(model: Any) -> dict[str, Any]:
    """*Worker.* Of each tower the largest layer of the kind (linear or convolution) that holds most of its weights."""
    import torch

    pictures = set(model.visual.modules())
    towers = {"text": [module for module in model.modules() if module not in pictures], "picture": list(pictures)}
    found = {}
    for tower, modules in towers.items():
        kinds = [[layer for layer in modules if isinstance(layer, kind)] for kind in (torch.nn.Linear, torch.nn.Conv2d)]
        layers = max(kinds, key=lambda each: sum(layer.weight.numel() for layer in each))
        if layers:
            found[tower] = max(layers, key=lambda layer: layer.weight.numel())
    return found


def measure(layers: Mapping[str, Any], device: str) -> Rates:
    """*Worker.* The rate of each layer in each precision that the device has."""
    return {
        tower: {precision: _rate(layer, Forward(device, precision)) for precision in devices.precisions(device)}
        for tower, layer in layers.items()
    }


def seconds_of(work: Callable[[], object]) -> float:
    """*Worker.* How long something takes by the clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _rate(layer: Any, forward: Forward) -> float:
    """*Worker.* Billions of operations a second of one layer's product, to three digits."""
    layer = copy.deepcopy(layer).to(forward.weights)
    items, best, spent = _input(layer, forward.device), float("inf"), 0.0
    with forward.computing():
        operations = 2 * layer(items).numel() * layer.weight[0].numel()  # also the run that wakes everything up
        while spent < SECONDS:
            devices.wait_for(forward.device)
            start = time.perf_counter()
            layer(items)
            devices.wait_for(forward.device)
            best = min(best, time.perf_counter() - start)
            spent += time.perf_counter() - start
    return float(f"{operations / best / 1e9:.3g}")


def _input(layer: Any, device: str) -> torch.Tensor:
    """*Worker.* Random numbers for a Linear (rows, in) or a Conv2d (pictures, in, side, side), of its own type."""
    import torch

    rows, dtype = ROWS[device.split(":")[0]], layer.weight.dtype
    if isinstance(layer, torch.nn.Linear):
        return torch.randn(rows, layer.in_features, device=device, dtype=dtype)
    side = max(SIDE, *layer.kernel_size)
    shape = (max(1, rows // side**2), layer.in_channels, side, side)
    return torch.randn(shape, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)


def for_queries(precision: str, device: str) -> str:
    """*Pure.* In what precision a device computes queries of vectors that were made in `precision`.

    The same where the device has products of that kind; else fp32, to which every precision is close.
    """
    if device == devices.CPU:
        return precision if precision == "int8" else "fp32"
    return "fp32" if precision == "int8" else precision
