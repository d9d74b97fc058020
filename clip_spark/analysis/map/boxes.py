"""*Pure.* Boxes on a drawing that never overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Box = tuple[float, float, float, float]
"""Left, upper, right and lower edge in pixels."""


@dataclass
class Boxes:
    """What is taken of a drawing of a size in pixels."""

    size: int
    taken: list[Box] = field(default_factory=list)

    def take(self, box: Box) -> bool:
        """Take a box if it lies inside the drawing and on no other; returns whether it does."""
        if box[0] < 0 or box[1] < 0 or box[2] > self.size or box[3] > self.size or self.meets(box):
            return False
        self.taken.append(box)
        return True

    def meets(self, box: Box) -> bool:
        """Whether a box lies on another one."""
        if not self.taken:
            return False
        left, upper, right, lower = np.array(self.taken).T
        return bool(((box[0] < right) & (left < box[2]) & (box[1] < lower) & (upper < box[3])).any())


def around(x: float, y: float, width: float, height: float) -> Box:
    """*Pure.* The box of a size around a point."""
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def to_pixels(places: np.ndarray, view: Sequence[float], size: int, margin: float = 0.04) -> np.ndarray:
    """*Pure.* Where places lie on a square drawing that shows a view, float64 (n, 2); on a map y points up.

    Args:
        places: on the map, float (n, 2).
        view: least x, least y, largest x, largest y.
        size: of the drawing in pixels.
        margin: of the drawing, as a share of its size.
    """
    low, high = np.array(view[:2], float), np.array(view[2:], float)
    side = float((high - low).max()) or 1.0
    share = (np.asarray(places, float) - (low + high) / 2) / side * (1 - 2 * margin)
    return (0.5 + share * (1, -1)) * size
