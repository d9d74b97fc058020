"""*Worker.* What an encoder is to the rest of the house: five members, its figures, and nothing of torch.

`embed`, `search` and `web` know only this. A new kind of encoder is a class with these members and an entry in `kinds`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

Tokenised = Any
"""What an encoder's `tokenise` makes of n texts; only its `encode_texts` looks inside."""


class Pixels(NamedTuple):
    """A prepared picture: uint8 (height, width, 3), its stored (width, height), and what was done to it (`decode`)."""

    values: np.ndarray
    size: tuple[int, int]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stats:
    """What an encoder says of its work since it was loaded.

    Attributes:
        seconds: by stage, such as `forward`.
        counters: anything else that it sums up: tokens, token states, texts cut.
        rates: tower -> precision -> billions of operations a second, where those decided its precision.
        pictures_per_pass: how many prepared pictures it computes at once now.
        device: that it computes on, `cpu` or such as `cuda:0`.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    rates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pictures_per_pass: int = 32
    device: str = "cpu"


class Tokenise(Protocol):
    """Texts to what the model takes of them. Picklable without the model: a deadly text is tried in another process."""

    def __call__(self, texts: Sequence[str]) -> Tokenised:
        """The tokens of n texts; computes nothing on the device, and may run in a thread beside it."""
        ...


class Prepare(Protocol):
    """A picture to the model's input. Picklable without the model, and safe to call from many threads."""

    def __call__(self, picture: Image | bytes, fast: bool = False) -> Pixels:
        """Decode, resize and crop one picture; `fast` is not exact. Raises Rejected if the bytes are no picture."""
        ...


class Encoder(Protocol):
    """A model that turns texts and pictures into unit vectors of one space.

    Attributes:
        tokenise: see `Tokenise`.
        prepare: see `Prepare`.
    """

    tokenise: Tokenise
    prepare: Prepare

    @abstractmethod
    def info(self) -> dict[str, Any]:
        """What an index remembers, ready for JSON: a query through another encoder is refused.

        At least model, weights_sha256, preprocess, precision, dim and context_length.
        """

    @abstractmethod
    def encode_texts(self, texts: Sequence[str] | Tokenised, per_pass: int = 0) -> np.ndarray:
        """Embed n texts, or what `tokenise` has made of them before.

        Args:
            texts: those longer than the context are cut and counted.
            per_pass: token states of one forward pass; 0 keeps what is.

        Returns:
            float32 (n, d), rows of length 1, in the order of `texts`.
        """

    @abstractmethod
    def encode_pixels(self, pixels: np.ndarray, per_pass: int = 0) -> np.ndarray:
        """Embed n prepared pictures, uint8 (n, height, width, 3).

        Args:
            pixels: what `prepare` made.
            per_pass: pictures of one forward pass; 0 keeps what is.

        Returns:
            float32 (n, d), rows of length 1, in the order of `pixels`.
        """

    @abstractmethod
    def stats(self) -> Stats:
        """What it has done since it was loaded."""

    def encode_images(self, images: Sequence[Image | bytes]) -> np.ndarray:
        """Embed n pictures, float32 (n, d), rows of length 1; raises Rejected for bytes that are no usable picture.

        It comes with the other members.
        """
        parts, size = [np.zeros((0, self.info()["dim"]), np.float32)], self.stats().pictures_per_pass
        for start in range(0, len(images), size):
            pixels = np.stack([self.prepare(image).values for image in images[start : start + size]])
            parts.append(self.encode_pixels(pixels))
        return np.concatenate(parts)
