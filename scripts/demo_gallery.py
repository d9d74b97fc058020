"""Pictures that the demo's CLIP is trained on, and how they are changed so that it learns what they show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from demo_model import PREPROCESS
from make_demo_data import Emoji, read_pictures

TRAINING_STYLES = {
    "noto": 5.0,
    "fluent": 2.0,
    "fluent-flat": 2.0,
    "noto-v1": 2.0,
    "emojione": 2.0,
    "fxemoji": 1.0,
    "flag-icons": 4.0,
}
DIRECTED = re.compile(r"\b(left|right|arrow|clock|o’clock|thirty|button|keycap|east|west|backhand)", re.IGNORECASE)
GROUNDS = (0.6, 0.05)
"""Shares of white and black among the grounds that pictures are laid on."""
MIRRORED_GROUPS = {"smileys-emotion", "people-body", "animals-nature", "food-drink", "activities", "objects"}


@dataclass
class Gallery:
    """All training pictures, and where each emoji's are.

    `pixels` is uint8 (pictures, 4, 64, 64), RGBA with colours multiplied by alpha; `rows` is int64
    (emoji, styles), -1 where a style lacks the emoji; `mirrored` says which emoji may be flipped.
    """

    pixels: torch.Tensor
    rows: np.ndarray
    weights: np.ndarray
    mirrored: torch.Tensor


def read_gallery(emoji: list[Emoji], sources: Path, styles: Mapping[str, float] = TRAINING_STYLES) -> Gallery:
    """Read every training style into memory; `styles` has the weight of each."""
    rows = np.full((len(emoji), len(styles)), -1)
    pixels: list[np.ndarray] = []
    for column, style in enumerate(styles):
        for number, picture in read_pictures(style, emoji, sources).items():
            rows[number, column] = len(pixels)
            pixels.append(premultiply(picture))
    weights = (rows >= 0) * np.array(list(styles.values()))
    mirrored = [each.group in MIRRORED_GROUPS and not DIRECTED.search(each.name) for each in emoji]
    return Gallery(torch.from_numpy(np.stack(pixels)), rows, weights, torch.tensor(mirrored))


def premultiply(rgba: np.ndarray) -> np.ndarray:
    """RGBA (64, 64, 4) to channels first, with colours multiplied by alpha."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    colours = np.concatenate([rgba[..., :3] * alpha, rgba[..., 3:]], axis=-1)
    return np.ascontiguousarray(colours.round().astype(np.uint8).transpose(2, 0, 1))


def choose_rows(gallery: Gallery, numbers: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Choose one picture for each emoji, its style by weight: int64 (emoji)."""
    sums = gallery.weights[numbers].cumsum(axis=1)
    draws = rng.random((len(numbers), 1)) * sums[:, -1:]
    return torch.from_numpy(gallery.rows[numbers, (draws >= sums).sum(axis=1)])


def augment(
    rgba: torch.Tensor, mirrored: torch.Tensor, generator: torch.Generator, grounds: tuple[float, float] = GROUNDS
) -> torch.Tensor:
    """Move, turn, recolour and lay on a background: normalised float32 (pictures, 3, 64, 64)."""
    moved = F.grid_sample(
        rgba.float() / 255,
        F.affine_grid(random_affine(mirrored, generator), list(rgba.shape), align_corners=False),
        align_corners=False,
    )
    coloured = recolour(moved[:, :3], moved[:, 3:], generator)
    laid = coloured + (1 - moved[:, 3:]) * random_backgrounds(len(rgba), generator, grounds)
    return normalised(cut_out(laid, generator).clamp(0, 1)).contiguous(memory_format=torch.channels_last)


def normalised(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures from 0 to 1, float32 (pictures, 3, height, width), as the model takes them."""
    mean, std = (torch.tensor(PREPROCESS[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    return (pictures - mean) / std


def uniform(size: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    """Uniform random numbers."""
    return low + (high - low) * torch.rand(size, generator=generator)


def random_affine(mirrored: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Random scale, aspect, turn, shift and flip: float32 (pictures, 2, 3)."""
    count = len(mirrored)
    scale = uniform((count, 1), 0.8, 1.3, generator) * uniform((count, 2), 0.92, 1.08, generator)
    angle = uniform((count,), -0.26, 0.26, generator)
    flip = 1 - 2 * (mirrored & (torch.rand(count, generator=generator) < 0.3)).float()
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=-1).view(count, 2, 2)
    matrix = turn * scale[:, :, None] * torch.stack([flip, torch.ones(count)], dim=-1)[:, :, None]
    return torch.cat([matrix, uniform((count, 2, 1), -0.15, 0.15, generator)], dim=-1)


def recolour(colours: torch.Tensor, alpha: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Vary saturation, hue, contrast and brightness of colours multiplied by alpha."""
    count = len(colours)
    saturation = uniform((count, 1, 1), 0.6, 1.4, generator)
    saturation[torch.rand(count, generator=generator) < 0.06] = 0
    grey = torch.tensor([0.299, 0.587, 0.114]).expand(3, 3)
    matrix = grey + saturation * (torch.eye(3) - grey) + 0.06 * torch.randn(count, 3, 3, generator=generator)
    contrast = uniform((count, 1, 1, 1), 0.75, 1.2, generator)
    offset = uniform((count, 1, 1, 1), -0.12, 0.12, generator) + (1 - contrast) / 2
    mixed = torch.bmm(matrix, colours.flatten(2)).view_as(colours)
    return (contrast * mixed + offset * alpha).clamp(min=0).minimum(alpha)


def random_backgrounds(count: int, generator: torch.Generator, grounds: tuple[float, float]) -> torch.Tensor:
    """White, black (their shares are `grounds`) or any colour: float32 (count, 3, 1, 1)."""
    white, black = grounds
    colours = torch.rand(count, 3, 1, 1, generator=generator)
    kind = torch.rand(count, generator=generator)
    colours[kind < white] = 1
    colours[kind > 1 - black] = 0
    return colours


def cut_out(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Grey out a random rectangle in some pictures."""
    count, _, height, width = pictures.shape
    middle, half = uniform((count, 2, 1), 0, 1, generator), uniform((count, 2, 1), 0.03, 0.17, generator)
    inside = (torch.linspace(0, 1, height) - middle).abs() < half
    chosen = torch.rand(count, 1, 1, generator=generator) < 0.25
    hole = inside[:, 0, :, None] & inside[:, 1, None, :] & chosen
    return pictures.masked_fill(hole[:, None], 0.5)


@torch.no_grad()
def encode_gallery(model: open_clip.CLIP, gallery: Gallery) -> torch.Tensor:
    """Unit vectors of all training pictures on white, without distortion: float32 (pictures, dim)."""
    mean, std = (torch.tensor(PREPROCESS[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    model.eval()
    parts = [part.float() / 255 for part in gallery.pixels.split(256)]
    return torch.cat(
        [model.encode_image((part[:, :3] + 1 - part[:, 3:] - mean) / std, normalize=True) for part in parts]
    )
