"""*Worker.* `--precision fastest`: 8-bit products, where they gain and keep the vectors of the user's own pictures.

What `auto` compares can be measured with noise; whether 8 bits keep what a model sees depends on what it is shown. So
the plan names a few pictures of the input, and the first task of a run encodes them both ways.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from clip_spark.embed.picture_stream import Prepared, decoder, prepare
from clip_spark.encoders import EncoderSpec, check_model, load_encoder
from clip_spark.encoders.protocol import Encoder
from clip_spark.encoders.spec import LEAST_COSINE, LEAST_GAIN
from clip_spark.errors import ModelError
from clip_spark.pictures.parts import Part
from clip_spark.pictures.sources import FileEntry, FilesPart
from clip_spark.runtime import devices
from clip_spark.storage.local_cache import remember, remembered_name

log = logging.getLogger(__name__)

PICTURES, PARTS = 16, 4
"""How many pictures are tried, and from how many places of the input they come."""
ROUNDS = 2
"""So often each precision encodes them, in turn; the best time counts."""


@dataclass(frozen=True)
class Sample:
    """*Worker.* A few pictures of a plan, the same for all of its tasks; picklable.

    Attributes:
        parts: where they lie; the first `each` of every one.
        each: pictures of a part.
        fast_decode: as of the step.
    """

    parts: tuple[Part, ...]
    each: int
    fast_decode: bool = False

    def __call__(self, encoder: Encoder, spec: EncoderSpec, plan: str) -> tuple[Encoder, dict[str, Any]]:
        """The encoder that a run shall use, and what decided it, ready for JSON; of tasks on one machine one measures.

        Args:
            encoder: the one that `auto` gives.
            spec: what that one was loaded from.
            plan: fingerprint of the plan, and so of the sample.
        """
        device = encoder.stats().device
        if not can_int8(spec.model, device):
            return encoder, {}
        name = remembered_name("fastest", [plan, devices.describe(device), encoder.info()["weights_sha256"]])
        found = remember(name, lambda: compare(encoder, spec, self.pixels(encoder)), is_comparison)
        return (load_encoder(replace(spec, precision="int8")) if is_better(found) else encoder), found

    def pixels(self, encoder: Encoder) -> np.ndarray:
        """uint8 (n, height, width, 3): those pictures of the sample that can be decoded."""
        with decoder(partial(encoder.prepare, fast=self.fast_decode)) as decode:
            tried = (prepare(decode, item) for part in self.parts for item in islice(part.read(), self.each))
            found = [picture.pixels for picture in tried if isinstance(picture, Prepared)]
        return np.stack(found) if found else np.zeros((0, 1, 1, 3), np.uint8)


def can_int8(model: str, device: str) -> bool:
    """*Worker.* Whether a model has 8-bit products on a device at all."""
    try:
        check_model(model, "int8")
    except ModelError:
        return False
    return devices.has_int8(device)


def sample_of(found: Sequence[Part], fast_decode: bool) -> Sample:
    """*Driver.* Pictures from the beginning to the end of what a plan reads."""
    places = sorted({len(found) * number // PARTS for number in range(PARTS)})
    each = -(-PICTURES // len(places))
    return Sample(tuple(_few(found[place], each) for place in places), each, fast_decode)


def _few(part: Part, count: int) -> Part:
    """*Pure.* A part from which a few pictures can be read; of single files no others, and no texts, are looked at."""
    if not isinstance(part, FilesPart):
        return part
    places = sorted({len(part.files) * number // count for number in range(count)})
    return FilesPart(tuple(FileEntry(part.files[place].uri, reason=part.files[place].reason) for place in places))


def compare(encoder: Encoder, spec: EncoderSpec, pixels: np.ndarray) -> dict[str, Any]:
    """*Worker.* The pictures a second of an encoder and of the same in int8, and the least cosine of int8 to fp32.

    Args:
        encoder: the one that `auto` gives.
        spec: what it was loaded from.
        pixels: uint8 (n, height, width, 3); n may be 0, which shows nothing.
    """
    usual = encoder.info()["precision"]
    if not len(pixels):
        return {"pictures": 0, "pictures_a_second": {usual: 0.0}, "cosine": 0.0}
    tried = {usual: encoder, "int8": load_encoder(replace(spec, precision="int8"))}
    vectors, seconds = dict[str, np.ndarray](), dict.fromkeys(tried, float("inf"))
    for _ in range(ROUNDS):
        for name, one in tried.items():
            start = time.perf_counter()
            vectors[name] = one.encode_pixels(pixels)
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    exact = vectors.get("fp32")
    if exact is None:
        exact = load_encoder(replace(spec, precision="fp32")).encode_pixels(pixels)
    cosine = float((vectors["int8"] * exact).sum(axis=1).min())
    rates = {name: float(f"{len(pixels) / spent:.3g}") for name, spent in seconds.items()}
    cosine = round(cosine, 6) if np.isfinite(cosine) else -1.0
    log.info("%s of these pictures: %s a second, cosine of int8 %s", len(pixels), rates, cosine)
    return {"pictures": len(pixels), "pictures_a_second": rates, "cosine": cosine}


def is_better(found: Mapping[str, Any]) -> bool:
    """*Pure.* Whether int8 gains on the usual precision and keeps the vectors."""
    rates = found["pictures_a_second"]
    usual = max(rate for name, rate in rates.items() if name != "int8")
    return found["cosine"] >= LEAST_COSINE and rates.get("int8", 0.0) >= LEAST_GAIN * usual


def is_comparison(value: Any) -> bool:
    """*Pure.* True for what `compare` gives; a damaged file is none."""
    try:
        return is_better(value) in (True, False) and isinstance(value["pictures"], int)
    except (TypeError, KeyError, AttributeError, ValueError):
        return False
