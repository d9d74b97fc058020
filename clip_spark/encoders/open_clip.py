"""*Worker.* The encoder: one loaded model on one device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clip_spark.datasets.stopwatch import Stopwatch
from clip_spark.encoders.forward import BatchSize, Forward
from clip_spark.encoders.int8 import quantise
from clip_spark.encoders.loading import load_model
from clip_spark.encoders.picture_pixels import PicturePreparer
from clip_spark.encoders.spec import EncoderSpec
from clip_spark.encoders.text_half import TextEncoder, Tokenised
from clip_spark.runtime.devices import pick_precision

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = {"cpu": 32, "cuda": 512}
"""Pictures per forward pass; on a CPU more only costs memory."""


class Encoder:
    """A CLIP model that turns texts and pictures into unit vectors.

    Attributes:
        spec: what it was loaded from.
        device: `cpu` or `cuda:N`.
        precision: fp32, bf16, fp16, or int8 (of pictures; texts are then computed in fp32).
        dim: length of its vectors.
        preparers: fast or not -> one picture (bytes or PIL) to uint8 (height, width, 3), ready for `encode_pixels`.
        watch: seconds by stage since loading.
        split: texts to tokens; picklable, to be tried in another process.
        tokens_per_pass: batch size of texts.
        pictures_per_pass: batch size of pictures.
        counters: tokens read, token states computed and texts cut since loading.
    """

    def __init__(self, spec: EncoderSpec, device: str) -> None:
        import torch

        self.spec, self.device = spec, device
        self.precision = pick_precision(spec.precision, device)
        self.watch, self.counters = Stopwatch(), Counter[str]()
        with self.watch("load"):
            loaded = load_model(spec.model)
            # Pixels come channel by channel of one point: convolutions in that order are 1.6 times as fast on a CPU.
            self._model = loaded.model.to(device=device, memory_format=torch.channels_last)
            if self.precision == "int8":
                quantise(self._model.visual)
        self._forward = Forward(device, self.precision)
        self._texts = TextEncoder(self._model, loaded.tokenizer, self._forward, self.counters)
        self.pictures_per_pass = BatchSize(PICTURES[device.split(":")[0]])
        self.tokens_per_pass, self.split = self._texts.batch, self._texts.split
        self.preparers = {fast: PicturePreparer(loaded.transform, fast, spec.look) for fast in (False, True)}
        self._preprocess, self._weights_sha256 = loaded.preprocess, loaded.weights_sha256
        self.dim = self.encode_texts(["a"]).shape[1]

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

    def encode_images(self, images: Sequence[Image | bytes]) -> np.ndarray:
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
