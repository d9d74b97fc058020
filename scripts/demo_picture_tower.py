"""Tune the picture tower of the demo's CLIP: pictures stand for their emoji in all that texts say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from demo_gallery import Gallery, augment, choose_rows, encode_gallery, normalised, random_backgrounds
from demo_model import encode_names
from demo_steps import Kept, descend
from make_demo_data import Emoji
from train_demo_model import blend

GROUNDS, STILL_GROUNDS = (0.45, 0.2), (0.7, 0.15)
"""Shares of white and black; the others are of any colour."""
PICTURES, OTHER_PHRASES = 256, 800
"""How many pictures make a batch, and how many of its phrases are about none of them."""
PICTURES_RATE, PICTURE_SCALE, EMA_DECAY = 1e-3, 30.0, 0.99


def find_targets(model: open_clip.CLIP, emoji: list[Emoji], gallery: Gallery) -> torch.Tensor:
    """The middle of each emoji's name and pictures, as the model has them: unit float32 (emoji, dim)."""
    vectors = encode_gallery(model, gallery)
    weights, rows = torch.from_numpy(gallery.weights).float(), torch.from_numpy(gallery.rows)
    pictures = (weights[:, :, None] * vectors[rows.clamp(min=0)]).sum(dim=1)
    return F.normalize(F.normalize(pictures, dim=-1) + encode_names(model, [each.name for each in emoji]), dim=-1)


@dataclass
class PictureRun:
    """What the picture tower learns from: its pictures stand for their emoji in all that texts say.

    Attributes:
        targets: where each emoji should be, unit float32 (emoji, dim).
        phrases: vectors of texts, unit float32 (phrases, dim), the names first.
        logits: of each phrase for each emoji's target, float32 (phrases, emoji).
    """

    targets: torch.Tensor
    phrases: torch.Tensor
    scale: float
    gallery: Gallery

    def __post_init__(self) -> None:
        self.logits = self.scale * self.phrases @ self.targets.T
        self.shares = self.logits.softmax(dim=1)
        self.best = self.shares.argmax(dim=1)

    def chosen(self, numbers: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """The phrases that are about one of these emoji, and some others: int64."""
        about = torch.isin(self.best, numbers).nonzero().ravel()
        return torch.cat([about, torch.from_numpy(rng.integers(0, len(self.phrases), OTHER_PHRASES))])


def tune_pictures(model: open_clip.CLIP, run: PictureRun, kept: Path, steps: int) -> None:
    """Train the picture tower; the running average of its weights is what stays."""
    tower = model.visual
    optimizer = picture_optimizer(tower)
    state = Kept(kept, {"tower": tower, "optimizer": optimizer})
    average = {name: value.clone() for name, value in tower.state_dict().items()}
    state.load(average)
    tower.train()
    for step in range(state.step, steps):
        loss = descend(picture_loss(tower, run, step), [optimizer], step, steps)
        blend(average, tower, min(EMA_DECAY, (step + 1) / (step + 10)))
        state.save(step + 1, steps, loss, average)
    tower.load_state_dict(average)
    tower.eval()


def picture_optimizer(tower: torch.nn.Module) -> torch.optim.Optimizer:
    """Weights of several dimensions decay, others do not."""
    matrices = [each for each in tower.parameters() if each.ndim > 1]
    others = [each for each in tower.parameters() if each.ndim <= 1]
    decays = ((matrices, 0.05), (others, 0.0))
    groups = [{"params": some, "weight_decay": decay, "top_rate": PICTURES_RATE} for some, decay in decays]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98))


def picture_loss(tower: torch.nn.Module, run: PictureRun, step: int) -> torch.Tensor:
    """Of a batch that depends on the step's number alone, so that a resumed run goes on as it would have.

    To be near to the target is not enough: texts tell emoji apart by directions in which targets hardly differ.
    So each phrase shall find these pictures, among the targets of all other emoji, as it finds their targets.
    """
    rng = np.random.default_rng([80, step])
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
    numbers = rng.permutation(len(run.targets))[:PICTURES]
    own = torch.from_numpy(numbers)
    vectors = F.normalize(tower(draw_pictures(run.gallery, numbers, rng, generator)), dim=-1)
    near = F.cross_entropy(PICTURE_SCALE * vectors @ run.targets.T, own)
    near = near + 2 * (1 - (vectors * run.targets[own]).sum(dim=1)).mean()
    chosen = run.chosen(own, rng)
    asked = run.scale * run.phrases[chosen] @ vectors.T
    told = F.kl_div(asked.T.log_softmax(dim=1), run.logits[chosen][:, own].T.softmax(dim=1), reduction="batchmean")
    return 0.5 * near + 0.05 * divergence(run, chosen, own, asked) + 0.5 * told


def divergence(run: PictureRun, chosen: torch.Tensor, own: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """How far phrases' shares among all emoji are from what they should be, summed up, for each picture.

    `asked` is float32 (phrases, pictures); the logits of emoji that have no picture here are constants.
    """
    others = run.logits[chosen].index_fill(1, own, -torch.inf).logsumexp(dim=1)
    shares, logits = run.shares[chosen][:, own], run.logits[chosen]
    least = (shares * logits[:, own]).sum() - logits.logsumexp(dim=1).sum()
    sums = torch.logaddexp(others, asked.logsumexp(dim=1)) - (shares * asked).sum(dim=1)
    return (sums.sum() + least) / asked.shape[1]


def draw_pictures(
    gallery: Gallery, numbers: np.ndarray, rng: np.random.Generator, generator: torch.Generator
) -> torch.Tensor:
    """A picture of each emoji: a quarter as bundled, a quarter bundled ones altered, the others of any style."""
    rows, own = choose_rows(gallery, numbers, rng), torch.from_numpy(numbers)
    bundled, still = len(rows) // 2, len(rows) // 4
    rows[:bundled] = torch.from_numpy(gallery.rows[numbers[:bundled], 0])
    pixels = gallery.pixels[rows]
    altered = augment(pixels[still:], gallery.mirrored[own[still:]], generator, GROUNDS)
    return torch.cat([lay(pixels[:still], generator), altered]).contiguous(memory_format=torch.channels_last)


def lay(rgba: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Pictures as they are, on white, black or any colour: normalised float32 (pictures, 3, side, side)."""
    part = rgba.float() / 255
    return normalised(part[:, :3] + (1 - part[:, 3:]) * random_backgrounds(len(part), generator, STILL_GROUNDS))
