"""An encoder without torch, as small as an encoder can be: its space is the colour."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clip_spark import encoders
from clip_spark.encoders import EncoderSpec, kinds
from clip_spark.encoders.kinds import Kind
from clip_spark.encoders.protocol import Encoder, Pixels, Stats
from clip_spark.errors import ModelError, Rejected

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def count_colours(texts: Sequence[str]) -> np.ndarray:
    """float32 (n, 3): how often a text names each colour."""
    return np.array([[text.count(name) + 0.01 for name in COLOURS] for text in texts], np.float32).reshape(-1, 3)


def shrink(picture: Image.Image | bytes, fast: bool = False) -> Pixels:
    """2 x 2 pixels of a picture; raises Rejected."""
    try:
        image = Image.open(io.BytesIO(picture)) if isinstance(picture, bytes) else picture
        return Pixels(np.asarray(image.convert("RGB").resize((2, 2))), image.size)
    except OSError as error:
        raise Rejected("not a picture", str(error)) from error


class ColourEncoder(Encoder):
    """Its space is the colour: of a picture the mean, of a text the one that it names."""

    def __init__(self, spec: EncoderSpec) -> None:
        self.spec, self.tokenise, self.prepare, self.rows = spec, count_colours, shrink, 0

    def info(self) -> dict[str, Any]:
        """What it is."""
        made = {"model": self.spec.model, "weights_sha256": "none", "preprocess": {}, "precision": "fp32"}
        return {**made, "dim": 3, "context_length": 9}

    def encode_texts(self, texts: Any, per_pass: int = 0) -> np.ndarray:
        """Unit vectors of named colours."""
        return self._unit(texts if isinstance(texts, np.ndarray) else self.tokenise(texts))

    def encode_pixels(self, pixels: np.ndarray, per_pass: int = 0) -> np.ndarray:
        """Unit vectors of mean colours."""
        return self._unit(pixels.mean(axis=(1, 2)).astype(np.float32))

    def stats(self) -> Stats:
        """Rows made."""
        return Stats({"forward": float(self.rows)}, {"rows made": self.rows}, pictures_per_pass=2)

    def _unit(self, found: np.ndarray) -> np.ndarray:
        self.rows += len(found)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def check_colours(model: str, precision: str) -> None:
    if precision != "auto":
        raise ModelError("The colours have one precision.")


def know_colours(patch: pytest.MonkeyPatch) -> EncoderSpec:
    """A kind of encoder like any other, asked before open_clip's."""
    kind = Kind(lambda model: model.startswith("colours:"), check_colours, lambda spec, device: ColourEncoder(spec))
    patch.setattr(kinds, "KINDS", [kind, *kinds.KINDS])
    patch.setattr(encoders, "_loaded", {})
    return EncoderSpec("colours:rgb")
