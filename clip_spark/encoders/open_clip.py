"""*Worker.* The encoder: one loaded model on one device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.encoders.forward import BatchSize, Forward
from clip_spark.encoders.int8 import quantise
from clip_spark.encoders.loading import LoadedModel, load_model
from clip_spark.encoders.picture_pixels import PicturePreparer
from clip_spark.encoders.precision import Rates, choose_precision
from clip_spark.encoders.spec import EncoderSpec
from clip_spark.encoders.text_half import TextEncoder, Tokenised
from clip_spark.runtime.devices import check_precision

PICTURES = {"cpu": 32, "cuda": 512}
"""Pictures per forward pass; on a CPU more only costs memory."""
SAMPLE_TEXTS, SAMPLE_PICTURES = ("a dog", "a photo of a red apple on a table", "New York"), 2
"""What shows whether a precision keeps this model's vectors."""


@lru_cache(maxsize=4)
def _on_device(model: str, device: str) -> LoadedModel:
    """*Worker.* A model on a device, loaded once per process."""
    import torch

    loaded = load_model(model)
    # Pixels come channel by channel of one point: convolutions in that order are 1.6 times as fast on a CPU.
    return replace(loaded, model=loaded.model.to(device=device, memory_format=torch.channels_last))


def _quantised(model: str) -> LoadedModel:
    """*Worker.* A model of its own whose picture tower multiplies in 8 bits."""
    import torch

    loaded = load_model(model)
    quantise(loaded.model.to(memory_format=torch.channels_last).visual)
    return loaded


class Encoder:
    """A CLIP model that turns texts and pictures into unit vectors.

    Encoders of one model share its weights on a device, whatever their precision.

    Attributes:
        spec: what it was loaded from.
        device: `cpu` or `cuda:N`.
        rates: what decided the precision, by tower; empty where it was given.
        dim: length of its vectors.
        preparers: fast or not -> one picture (bytes or PIL) to uint8 (height, width, 3), ready for `encode_pixels`.
        watch: seconds by stage since loading.
        split: texts to tokens; picklable, to be tried in another process.
        tokens_per_pass: batch size of texts.
        pictures_per_pass: batch size of pictures.
        counters: tokens read, token states computed and texts cut since loading.
    """

    def __init__(self, spec: EncoderSpec, device: str) -> None:
        check_precision(spec.precision, device)
        self.spec, self.device = spec, device
        self.watch, self.counters = Stopwatch(), Counter[str]()
        with self.watch("load"):
            loaded = _quantised(spec.model) if spec.precision == "int8" else _on_device(spec.model, device)
        self._model, self._forward = loaded.model, Forward(device, spec.precision)
        self._texts = TextEncoder(self._model, loaded.tokenizer, self._forward, self.counters)
        self.pictures_per_pass = BatchSize(PICTURES[device.split(":")[0]])
        self.tokens_per_pass, self.split = self._texts.batch, self._texts.split
        self.preparers = {fast: PicturePreparer(loaded.transform, fast, spec.look) for fast in (False, True)}
        self._preprocess, self._weights_sha256 = loaded.preprocess, loaded.weights_sha256
        self.rates = self._choose_precision() if spec.precision == "auto" else {}
        self.dim = self.encode_texts(["a"]).shape[1]

    @property
    def precision(self) -> str:
        """What it computes in."""
        return self._forward.precision

    def _choose_precision(self) -> Rates:
        """Take what `auto` means here; returns what decided it."""
        with self.watch("load"):
            choice = choose_precision(self._model, self._forward, self._weights_sha256, self._sample)
        self._forward.precision = choice.precision
        return choice.rates

    def _sample(self) -> np.ndarray:
        """Vectors of a few texts and pictures of noise, float32 (n, d)."""
        side = self.preparers[False](Image.new("RGB", (64, 64))).shape[0]
        pixels = np.random.default_rng(0).integers(0, 256, (SAMPLE_PICTURES, side, side, 3), dtype=np.uint8)
        return np.concatenate([self.encode_texts(SAMPLE_TEXTS), self.encode_pixels(pixels)])

    def info(self) -> dict[str, Any]:
        """What an index remembers, ready for JSON: a query through another encoder is refused."""
        return {
            "model": self.spec.model,
            "weights_sha256": self._weights_sha256,
            "preprocess": self._preprocess,
            "precision": self.precision,
            "dim": self.dim,
            "context_length": self._texts.context_length,
            "orientation": self.spec.look.orientation,
            "background": self.spec.look.background,
        }

    def encode_texts(self, texts: Sequence[str], prefix: str = "") -> np.ndarray:
        """Embed texts.

        Args:
            texts: n texts; those longer than the context are cut and counted.
            prefix: put before every text.

        Returns:
            float32 (n, d), rows of length 1, in the order of `texts`.
        """
        return self.encode_tokenised(self.tokenise([prefix + text for text in texts]))

    def tokenise(self, texts: Sequence[str]) -> Tokenised:
        """What comes before the forward pass of some texts; may run in a thread beside it."""
        with self.watch("tokenise"):
            return self._texts.tokenise(texts)

    def encode_tokenised(self, texts: Tokenised) -> np.ndarray:
        """Embed what `tokenise` has made of n texts, float32 (n, d), rows of length 1, in their order."""
        if not len(texts.order):
            return np.zeros((0, self.dim), np.float32)
        self.counters.update(tokens=texts.tokens, texts_cut=texts.cut)
        with self.watch("forward"):
            return self._texts(texts)

    def encode_images(self, images: Sequence[Image.Image | bytes]) -> np.ndarray:
        """Embed n pictures, float32 (n, d), rows of length 1; raises Rejected for bytes that are no usable picture."""
        if not images:
            return np.zeros((0, self.dim), np.float32)
        parts, size = [], self.pictures_per_pass.size
        for start in range(0, len(images), size):
            with self.watch("decode"):
                pixels = np.stack([self.preparers[False](image) for image in images[start : start + size]])
            parts.append(self.encode_pixels(pixels))
        return np.concatenate(parts)

    def encode_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Embed n >= 1 prepared pictures, uint8 (n, height, width, 3), float32 (n, d)."""
        import torch

        def forward(start: int, stop: int) -> torch.Tensor:
            batch = torch.from_numpy(pixels[start:stop])
            return self._forward(
                lambda: self._model.encode_image(self.preparers[False].normalise(batch.to(self.device)))
            )

        with self.watch("forward"):
            return self.pictures_per_pass.run(len(pixels), lambda start, size: start + size, forward)
