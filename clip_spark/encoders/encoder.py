"""*Worker.* The encoder: one loaded model on one device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clip_spark.devices import CPU, pick_precision
from clip_spark.encoders.loading import load_model
from clip_spark.encoders.pictures import PicturePreparer
from clip_spark.encoders.text_tower import forward_trimmed, length_batches, padded, trimmable_tower
from clip_spark.encoders.tokens import BulkTokenizer, Tokens
from clip_spark.shards import Stopwatch
from clip_spark.specs.encode import EncoderSpec

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

TEXT_BATCH = {CPU: 256, "cuda": 4096}
IMAGE_BATCH = {CPU: 32, "cuda": 512}
"""Sequences per forward pass by kind of device; on a CPU more only costs memory."""


class Encoder:
    """A CLIP model that turns texts and pictures into unit vectors.

    Attributes:
        spec: what it was loaded from.
        device: `cpu` or `cuda:N`.
        precision: fp32, bf16 or fp16.
        dim: length of its vectors.
        prepare: one picture (bytes or PIL) -> uint8 (height, width, 3), ready for `encode_pixels`; thread-safe.
        watch: seconds by stage since loading.
        counters: tokens computed and texts cut since loading.
    """

    def __init__(self, spec: EncoderSpec, device: str) -> None:
        self.spec, self.device = spec, device
        self.precision = pick_precision(spec.precision, device)
        self.watch, self.counters = Stopwatch(), Counter[str]()
        with self.watch("load"):
            loaded = load_model(spec.model)
            self._model = loaded.model.to(device)
        self.context_length = int(loaded.model.context_length)
        self._tower = trimmable_tower(self._model)
        self._tokenizer = loaded.tokenizer
        self._bulk = (
            BulkTokenizer(loaded.tokenizer, self.context_length) if BulkTokenizer.fits(loaded.tokenizer) else None
        )
        self.prepare = PicturePreparer(loaded.transform)
        self._preprocess, self._weights_sha256 = loaded.preprocess, loaded.weights_sha256
        self._batch = {kind: sizes[device.split(":")[0]] for kind, sizes in _BATCHES.items()}
        self.dim = self.encode_texts(["a"]).shape[1]

    def info(self) -> dict[str, Any]:
        """What an index remembers, ready for JSON: a query through another encoder is refused."""
        return {
            "model": self.spec.model,
            "weights_sha256": self._weights_sha256,
            "preprocess": self._preprocess,
            "precision": self.precision,
            "dim": self.dim,
            "context_length": self.context_length,
        }

    def encode_texts(self, texts: Sequence[str], prefix: str = "", batch_size: int = 0) -> np.ndarray:
        """Embed texts.

        Args:
            texts: n texts; those longer than the context are cut and counted.
            prefix: put before every text.
            batch_size: texts per forward pass; 0 chooses by device.

        Returns:
            float32 (n, d), rows of length 1, in the order of `texts`.
        """
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        with self.watch("tokenise"):
            tokens = self._tokenise([prefix + text for text in texts])
        self.counters.update(tokens=tokens.total, texts_cut=tokens.cut)
        out: np.ndarray | None = None
        with self.watch("forward"):
            for indices in length_batches(tokens.rows, batch_size or self._batch["text"]):
                vectors = self._forward(self._encode_ids, padded([tokens.rows[i] for i in indices]))
                out = np.empty((len(texts), vectors.shape[1]), np.float32) if out is None else out
                out[indices] = vectors
        assert out is not None
        return out

    def encode_images(self, images: Sequence[Image | bytes], batch_size: int = 0) -> np.ndarray:
        """Embed n pictures, float32 (n, d), rows of length 1; raises Rejected for bytes that are no usable picture."""
        if not images:
            return np.zeros((0, self.dim), np.float32)
        size = batch_size or self._batch["image"]
        parts = []
        for start in range(0, len(images), size):
            with self.watch("decode"):
                pixels = np.stack([self.prepare(image) for image in images[start : start + size]])
            parts.append(self.encode_pixels(pixels))
        return np.concatenate(parts)

    @property
    def image_batch(self) -> int:
        """Pictures per forward pass that suit the device."""
        return self._batch["image"]

    def encode_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Embed prepared pictures, uint8 (n, height, width, 3); one forward pass."""
        import torch

        with self.watch("forward"):
            return self._forward(self._encode_pixels, torch.from_numpy(pixels))

    def _tokenise(self, texts: list[str]) -> Tokens:
        if self._bulk is not None:
            return self._bulk(texts)
        rows = self._tokenizer(texts, context_length=self.context_length).tolist()
        return Tokens(rows, cut=0)  # foreign tokenizers pad to the context and do not say what they cut

    def _encode_ids(self, ids: torch.Tensor) -> torch.Tensor:
        import torch

        if self._tower is not None:
            return forward_trimmed(self._tower, ids)
        missing = self.context_length - ids.shape[1]
        return self._model.encode_text(torch.nn.functional.pad(ids, (0, missing)))

    def _encode_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._model.encode_image(self.prepare.normalise(pixels))

    def _forward(self, function: Any, batch: torch.Tensor) -> np.ndarray:
        """One forward pass on the device, in its precision; float32 unit rows."""
        import torch

        kind = self.device.split(":")[0]
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        with torch.inference_mode(), torch.autocast(kind, dtype=dtype, enabled=dtype is not None):
            vectors = function(batch.to(self.device, non_blocking=True)).float()
            return torch.nn.functional.normalize(vectors, dim=-1).cpu().numpy()


_BATCHES = {"text": TEXT_BATCH, "image": IMAGE_BATCH}
