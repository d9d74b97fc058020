"""*Pure.* How stored pixels become the picture that a model sees; part of what an embedding is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clip_spark.errors import SpecError

ORIENTATIONS = ("apply", "ignore")
BACKGROUNDS = {"white": "FFFFFF", "black": "000000"}
OPEN_CLIP = "open_clip"


@dataclass(frozen=True)
class Look:
    """The defaults are what searches find more with.

    Attributes:
        orientation: `apply` turns a photograph as its EXIF tag says; `ignore` is what open_clip and clip-retrieval do.
        background: `white`, `black` or RRGGBB is laid under transparent pixels; `open_clip` drops the transparency,
            and shows what colours lie below it, most often black.
    """

    orientation: str = "apply"
    background: str = "white"

    def __post_init__(self) -> None:
        if self.orientation not in ORIENTATIONS:
            raise SpecError(f"--orientation is '{self.orientation}'; it must be one of {', '.join(ORIENTATIONS)}.")
        if self.background not in (OPEN_CLIP, *BACKGROUNDS) and not re.fullmatch("[0-9A-Fa-f]{6}", self.background):
            raise SpecError(
                f"--background is '{self.background}'; it must be white, black, open_clip, or a colour as RRGGBB."
            )

    @property
    def colour(self) -> tuple[int, int, int] | None:
        """Red, green and blue, or None where transparency is dropped."""
        if self.background == OPEN_CLIP:
            return None
        red, green, blue = bytes.fromhex(BACKGROUNDS.get(self.background, self.background))
        return red, green, blue

    @staticmethod
    def of(facts: Mapping[str, Any]) -> Look:
        """That of embeddings, from their encoder's facts; older ones do not say it and were made as open_clip does."""
        return Look(str(facts.get("orientation", "ignore")), str(facts.get("background", OPEN_CLIP)))


AS_STORED = Look("ignore", OPEN_CLIP)
"""What open_clip's own transform sees."""
