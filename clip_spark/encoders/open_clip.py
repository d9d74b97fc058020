"""*Worker.* The encoder of open_clip's models: one loaded model on one device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.encoders import query_texts
from clip_spark.encoders.forward import BatchSize, Forward
from clip_spark.encoders.int8 import quantise
from clip_spark.encoders.loading import LoadedModel, load_model
from clip_spark.encoders.patches import patches_as_products
from clip_spark.encoders.picture_pixels import PicturePreparer
from clip_spark.encoders.precision import Rates, choose_precision, seconds_of
from clip_spark.encoders.protocol import Encoder, Stats
from clip_spark.encoders.spec import EncoderSpec
from clip_spark.encoders.text_half import TextEncoder, Tokenised
from clip_spark.runtime.devices import CPU, check_precision

if TYPE_CHECKING:
    import torch

PICTURES = {"cpu": 32, "cuda": 512}
"""Pictures per forward pass; on a CPU more only costs memory."""
SAMPLE_TEXTS, SAMPLE_PICTURES = ("a dog", "a photo of a red apple on a table", "New York"), 2
"""What shows whether a precision keeps this model's vectors, and its time."""
SAMPLE_PASSES = 5
"""The best of these counts."""


@lru_cache(maxsize=4)
def _on_device(model: str, device: str, weights: torch.dtype) -> LoadedModel:
    """*Worker.* A model on a device with weights of a type, loaded once per process."""
    import torch

    loaded = load_model(model)
    if device != CPU:
        patches_as_products(loaded.model.visual)
    # Pixels come channel by channel of one point: convolutions in that order are 1.6 times as fast on a CPU.
    return replace(loaded, model=loaded.model.to(device=device, dtype=weights, memory_format=torch.channels_last))


def _quantised(model: str) -> LoadedModel:
    """*Worker.* A model of its own whose picture tower multiplies in 8 bits."""
    import torch

    loaded = load_model(model)
    quantise(loaded.model.to(memory_format=torch.channels_last).visual)
    return loaded


def _chosen(spec: EncoderSpec, device: str) -> tuple[str, Rates]:
    """*Worker.* The precision that `auto` means for a model on a device, and what decided it."""
    import torch

    loaded = _on_device(spec.model, device, torch.float32)

    def sample(precision: str) -> tuple[np.ndarray, float]:
        encoder = OpenClipEncoder(replace(spec, precision=precision), device)
        vectors = encoder.sample()  # this one also makes the kernels
        return vectors, min(seconds_of(encoder.sample) for _ in range(SAMPLE_PASSES))

    choice = choose_precision(loaded.model, device, loaded.weights_sha256, sample)
    if device != CPU or Forward(device, choice.precision).weights != torch.float32:
        _on_device.cache_clear()  # weights of types that are not used would fill the memory
    return choice.precision, choice.rates


class OpenClipEncoder(Encoder):
    """An open_clip model on one device.

    Encoders of one model share its weights on a device, where their precisions need no others.

    Attributes:
        spec: what it was loaded from.
        dim: length of its vectors.
    """

    def __init__(self, spec: EncoderSpec, device: str) -> None:
        check_precision(spec.precision, device)
        precision, self._rates = _chosen(spec, device) if spec.precision == "auto" else (spec.precision, {})
        self._forward = Forward(device, precision)
        loaded = (
            _quantised(spec.model) if precision == "int8" else _on_device(spec.model, device, self._forward.weights)
        )
        self.spec, self._watch, self._counters = spec, Stopwatch(), Counter[str]()
        self._model = loaded.model
        self._tokeniser = loaded.tokeniser
        self._texts = TextEncoder(self._model, self._tokeniser, self._forward, self._counters)
        self._pictures = BatchSize(PICTURES[device.split(":")[0]])
        self.tokenise = self._texts.tokenise
        self.prepare = self._preparer = PicturePreparer(loaded.transform, spec.look)
        self._preprocess, self._weights_sha256 = loaded.preprocess, loaded.weights_sha256
        self.dim = self.encode_texts(["a"]).shape[1]
        if (facts := self._texts.facts(loaded.path)) is not None:
            query_texts.compare(self.info(), facts, self._exact_texts)

    def _exact_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts in fp32, float32 (n, d)."""
        import torch

        exact = Forward(self._forward.device, "fp32")
        shared = self._forward.weights == torch.float32
        model = self._model if shared else load_model(self.spec.model).model.to(exact.device)
        return TextEncoder(model, self._tokeniser, exact, Counter())(self.tokenise(texts))

    def sample(self) -> np.ndarray:
        """Vectors of a few texts and pictures of noise, float32 (n, d)."""
        return np.concatenate([self.encode_texts(SAMPLE_TEXTS), self.encode_pixels(self.sample_pixels())])

    def sample_pixels(self) -> np.ndarray:
        """A few prepared pictures of noise, uint8 (n, height, width, 3)."""
        shape = self.prepare(Image.new("RGB", (64, 64))).values.shape
        return np.random.default_rng(0).integers(0, 256, (SAMPLE_PICTURES, *shape), dtype=np.uint8)

    def info(self) -> dict[str, Any]:
        """What an index remembers, ready for JSON."""
        return {
            "model": self.spec.model,
            "weights_sha256": self._weights_sha256,
            "preprocess": self._preprocess,
            "precision": self._forward.precision,
            "dim": self.dim,
            "context_length": self._texts.context_length,
            "orientation": self.spec.look.orientation,
            "background": self.spec.look.background,
        }

    def stats(self) -> Stats:
        """Seconds of the forward pass; tokens read, token states computed and texts cut; the batch of pictures."""
        done = (dict(self._watch.seconds), dict(self._counters), self._rates, self._pictures.size)
        return Stats(*done, self._forward.device)

    def encode_texts(self, texts: Sequence[str] | Tokenised, per_pass: int = 0) -> np.ndarray:
        """Embed n texts, or what `tokenise` has made of them, float32 (n, d), rows of length 1, in their order."""
        ready = texts if isinstance(texts, Tokenised) else self.tokenise(texts)
        if not len(ready.order):
            return np.zeros((0, self.dim), np.float32)
        self._counters.update(tokens=ready.tokens, texts_cut=ready.cut)
        self._texts.batch.request(per_pass)
        with self._watch("forward"):
            return self._texts(ready)

    def encode_pixels(self, pixels: np.ndarray, per_pass: int = 0) -> np.ndarray:
        """Embed n >= 1 prepared pictures, uint8 (n, height, width, 3), float32 (n, d)."""
        self._pictures.request(per_pass)
        with self._watch("forward"):
            return self._pictures.run(
                len(pixels), lambda start, size: start + size, lambda start, stop: self._pass(pixels[start:stop])
            )

    def _pass(self, pixels: np.ndarray) -> torch.Tensor:
        """One forward pass of prepared pictures: float32 (n, d), rows of length 1, on the device."""
        import torch

        batch = torch.from_numpy(pixels)
        normalise, device, weights = self._preparer.normalise, self._forward.device, self._forward.weights
        return self._forward(lambda: self._model.encode_image(normalise(batch.to(device)).to(weights)))
