"""Steps that go on from a trained CLIP: texts alone, or both towers, at a falling rate."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from demo_batches import Batch, Recipe, make_batches
from demo_gallery import Gallery, choose_rows, encode_gallery
from demo_model import encode_texts
from demo_words import Words, choose_terms, pad_tokens, phrase

log = logging.getLogger("demo")


def contrastive_loss(model: open_clip.CLIP, batch: Batch) -> torch.Tensor:
    """CLIP's loss in both directions, leaving out other texts that are true of a picture."""
    count = len(batch.pictures)
    pictures = model.encode_image(batch.pictures, normalize=True)
    logits = model.logit_scale.exp() * pictures @ encode_texts(model, batch.tokens).T
    own = torch.arange(count)
    also_true = batch.described.index_put((own, own), torch.tensor(False))
    logits = logits.masked_fill(also_true, -torch.inf)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits[:, :count].T, own)) / 2


def tuning_rate(step: int, steps: int) -> float:
    """Share of the top rate: a short warm-up, then a cosine to nothing."""
    return min(1.0, (step + 1) / 20) * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def tuning_step(optimizer: torch.optim.Optimizer, loss: torch.Tensor, step: int, steps: int) -> None:
    """One step of an optimizer whose groups say their top rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["top_rate"] * tuning_rate(step, steps)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_([each for group in optimizer.param_groups for each in group["params"]], 1.0)
    optimizer.step()
    if step % 25 == 24:
        log.info("tuning step %d  loss %.3f", step + 1, loss.item())


def tune_texts(model: open_clip.CLIP, words: Words, gallery: Gallery, recipe: Recipe, steps: int) -> None:
    """Train the text tower alone, against pictures that stay as they are.

    A step without pictures is so cheap that each text can be told from every emoji at once.
    """
    vectors, everyone = encode_gallery(model, gallery), np.arange(len(gallery.rows))
    optimizer, rng = text_optimizer(model, recipe), np.random.default_rng([recipe.seed, steps])
    for step in range(steps):
        pictures = vectors[choose_rows(gallery, everyone, rng)]
        tuning_step(optimizer, tuning_loss(model, words, pictures, recipe, rng), step, steps)


def tune_both(model: open_clip.CLIP, words: Words, gallery: Gallery, recipe: Recipe, steps: int) -> None:
    """Train both towers once more, now that the words mean something to the pictures."""
    optimizer = text_optimizer(model, recipe)
    optimizer.add_param_group({"params": list(model.visual.parameters()), "top_rate": recipe.tuning_pictures_rate})
    batches = make_batches(words, gallery, replace(recipe, seed=recipe.seed + 1), 0)
    model.train()
    for step in range(steps):
        tuning_step(optimizer, contrastive_loss(model, next(batches)), step, steps)
    model.eval()


def text_optimizer(model: open_clip.CLIP, recipe: Recipe) -> torch.optim.Optimizer:
    """An optimizer of the text tower alone; words are seen seldom, so they move faster."""
    apart = ("visual.", "token_embedding.")
    rest = [each for name, each in model.named_parameters() if not name.startswith(apart)]
    groups = [
        {"params": [model.token_embedding.weight], "top_rate": recipe.tuning_words_rate},
        {"params": rest, "top_rate": recipe.tuning_rate},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)


def tuning_loss(
    model: open_clip.CLIP, words: Words, vectors: torch.Tensor, recipe: Recipe, rng: np.random.Generator
) -> torch.Tensor:
    """Texts against one picture of every emoji, `vectors` (emoji, dim), and those pictures against the texts."""
    numbers = rng.permutation(len(vectors))[: recipe.tuning_texts]
    terms = [choose_terms(words, number, rng) for number in numbers]
    described = torch.from_numpy(np.stack([words.describes[each].all(axis=0) for each in terms]))
    texts = encode_texts(model, pad_tokens([phrase(words, each, rng) for each in terms]))
    logits = model.logit_scale.exp().clamp(max=100) * texts @ vectors.T
    others = logits.masked_fill(described, -torch.inf).logsumexp(dim=1, keepdim=True)
    text_loss = (F.softplus(others - logits) * described).sum(dim=1) / described.sum(dim=1)
    own = torch.arange(len(numbers))
    also_true = described[:, numbers].index_put((own, own), torch.tensor(False))
    picture_loss = F.cross_entropy(logits[:, numbers].masked_fill(also_true, -torch.inf).T, own)
    return (text_loss.mean() + picture_loss) / 2
