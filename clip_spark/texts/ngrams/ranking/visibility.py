"""*Worker.* How visible n-grams are: for how many pictures of a sample each is among the first texts.

    visibility   mean over the pictures of 10 / (10 + r), where r texts are nearer to the picture than the n-gram is
    nearer       by cosine less the text's mean cosine with all pictures: what is near to everything tells nothing apart

So 1 is a text that is the first for every picture, and an n-gram that no picture shows has about 10 ln(rows) / rows.
Where a text stands among all is taken from a sample of them: the cosines at places 1, 2, 4, 8, ... for each picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PICTURES, TEXTS = 2048, 16_384
"""Of the samples, at most."""
FIRST = 10.0
"""Tags of a picture that count: at this place an n-gram counts half of what the first one does."""
BLOCK_ROWS = 1024
"""Texts that are compared with all pictures of the sample at once."""


@dataclass(frozen=True)
class View:
    """What n-grams are seen against; picklable.

    Attributes:
        pictures: less their mean, float32 (p, d): so a product with a text is its cosine less its mean.
        cosines: of the texts at some places for each picture, rising, float64 (p, m).
        places: how many of all texts are nearer there, falling, float64 (m,).
    """

    pictures: np.ndarray
    cosines: np.ndarray
    places: np.ndarray

    @staticmethod
    def of(pictures: np.ndarray, texts: np.ndarray, rows: int) -> View:
        """*Driver.* The view from samples of pictures (float32 (p, d)) and of `rows` texts (float32 (t, d))."""
        pictures = pictures - pictures.mean(axis=0)
        at = np.unique(np.minimum(2 ** np.arange(int(np.log2(len(texts))) + 2), len(texts)) - 1)
        cosines = np.empty((len(pictures), len(at)))
        for first in range(0, len(pictures), 64):
            block = -(pictures[first : first + 64].astype(np.float64) @ texts.T.astype(np.float64))
            cosines[first : first + 64] = -np.partition(block, at, axis=1)[:, at]
        return View(pictures, cosines[:, ::-1].copy(), (at[::-1] * rows / len(texts)).astype(np.float64))

    def visibility(self, vectors: np.ndarray) -> np.ndarray:
        """*Worker.* How visible texts are (float32 (n, d)), float64 (n,), from 0 to 1."""
        out = np.empty(len(vectors))
        logarithms = np.log1p(self.places)
        for first in range(0, len(vectors), BLOCK_ROWS):
            block = vectors[first : first + BLOCK_ROWS].astype(np.float64)
            total = np.zeros(len(block))
            for picture, cosines in zip(self.pictures.astype(np.float64) @ block.T, self.cosines, strict=True):
                total += FIRST / (FIRST + np.expm1(np.interp(picture, cosines, logarithms)))
            out[first : first + len(block)] = total / len(self.pictures)
        return out
