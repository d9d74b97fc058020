"""Batches of pictures and texts for both towers of the demo's CLIP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from demo_gallery import Gallery, augment, choose_rows
from demo_words import Words, choose_terms, pad_tokens, phrase


@dataclass(frozen=True)
class Recipe:
    """What decides a training run, apart from its length."""

    batch: int = 256
    extra_names: int = 128
    neighbours: int = 16
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    falling_part: float = 0.35
    ema_decay: float = 0.998
    tuning_texts: int = 512
    tuning_rate: float = 1e-3
    tuning_words_rate: float = 3e-3
    tuning_pictures_rate: float = 7e-4
    seed: int = 0


@dataclass
class Batch:
    """Pictures and texts; text i belongs to picture i, the further texts to none.

    `described` is bool (pictures, texts): which texts are true of which pictures.
    """

    pictures: torch.Tensor
    tokens: torch.Tensor
    described: torch.Tensor


def choose_emoji(count: int, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """Choose a batch without doubles: half at random, half in runs of neighbours, which are hard to tell apart."""
    starts = rng.integers(0, count, recipe.batch // (2 * recipe.neighbours))
    runs = (starts[:, None] + np.arange(recipe.neighbours)).ravel() % count
    chosen = np.concatenate([runs, rng.permutation(count)])
    _, first = np.unique(chosen, return_index=True)
    return chosen[np.sort(first)][: recipe.batch]


def make_batches(words: Words, gallery: Gallery, recipe: Recipe, first_step: int) -> Iterator[Batch]:
    """Make batches for ever; each depends on the seed and its step alone, so a resumed run goes on as it would have."""
    count = len(words.keywords)
    for step in range(first_step, 1 << 62):
        rng = np.random.default_rng([recipe.seed, step])
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        numbers = choose_emoji(count, recipe, rng)
        others = np.setdiff1d(rng.permutation(count)[: 2 * recipe.extra_names], numbers)[: recipe.extra_names]
        terms = [choose_terms(words, number, rng) for number in numbers] + [[number] for number in others]
        described = np.stack([words.describes[each][:, numbers].all(axis=0) for each in terms], axis=1)
        yield Batch(
            augment(
                gallery.pixels[choose_rows(gallery, numbers, rng)],
                gallery.mirrored[torch.from_numpy(numbers)],
                generator,
            ),
            pad_tokens([phrase(words, each, rng) for each in terms]),
            torch.from_numpy(described),
        )
