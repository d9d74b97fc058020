"""Tune the text tower of the demo's CLIP: what people say finds what it describes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from demo_gallery import Gallery, choose_rows, encode_gallery
from demo_lexicon import WordVectors
from demo_model import in_parts
from demo_phrases import Speaker
from demo_steps import Kept, descend
from demo_words import pad_tokens

WIDTH, HEADS = 128, 4
TEXTS, TEXTS_RATE, WORDS_RATE, TEXT_SCALE = 384, 2e-3, 4e-3, 20.0
"""A batch, the rates of the tower and of its word table, and how sharply a text chooses at the start."""
SETTLED_TARGETS, SETTLED_BUNDLED = 0.4, 0.75
"""At the end texts learn targets with the first share, bundled pictures up to the second, then other styles."""
ALSO_TRUE = 0.15
"""A text that describes a picture so well, as a share of what it describes best, is no wrong answer for it."""
PICTURE_LOSS = 0.4
TARGETS_RATE, PULL = 1e-3, 2.0
"""How fast the emoji's vectors move, and how much they are held where they were."""


class TextTower(torch.nn.Module):
    """The text tower of a CLIP whose word table is word vectors through a matrix, and what tokens need beside them.

    Only rows of tokens that were said are ever touched, which is most of the speed.
    """

    def __init__(self, model: open_clip.CLIP, vectors: torch.Tensor) -> None:
        super().__init__()
        self.model, self.vectors = model, vectors
        self.matrix = torch.nn.Parameter(torch.randn(vectors.shape[1], WIDTH) * 0.1)
        self.beside = torch.nn.Embedding(len(vectors), WIDTH, sparse=True)
        self.beside.weight.data.mul_(0.01)
        self.scale = torch.nn.Parameter(torch.tensor(math.log(TEXT_SCALE)))

    def dense(self) -> list[torch.nn.Parameter]:
        """What is trained, without the word table."""
        apart = ("visual.", "token_embedding.", "logit_scale")
        return [each for name, each in self.model.named_parameters() if not name.startswith(apart)]

    def forward(self, tokens: torch.Tensor, parts: int = 3) -> torch.Tensor:
        """Unit vectors of texts, in parts of like length: float32 (rows, dim)."""
        return F.normalize(in_parts(self.some, tokens, parts), dim=-1)

    def some(self, tokens: torch.Tensor) -> torch.Tensor:
        """Vectors of texts of like length."""
        length = tokens.shape[1]
        hidden = self.vectors[tokens] @ self.matrix + self.beside(tokens) + self.model.positional_embedding[:length]
        mask = self.model.attn_mask[:length, :length]
        hidden = self.model.ln_final(self.model.transformer(hidden, attn_mask=mask))
        return hidden[torch.arange(len(tokens)), tokens.argmax(dim=-1)] @ self.model.text_projection

    @torch.no_grad()
    def fold(self) -> None:
        """Write the word table and the temperature into the model."""
        self.model.token_embedding.weight.copy_(self.vectors @ self.matrix + self.beside.weight)
        self.model.logit_scale.copy_(self.scale)


def token_vectors(found: WordVectors, vocabulary: int) -> torch.Tensor:
    """The word vector of each token that is a word, 0 for others: float32 (tokens, 100)."""
    encode = open_clip.SimpleTokenizer().encode
    table = torch.zeros(vocabulary, found.vectors.shape[1])
    for word, row in found.at.items():
        tokens = encode(word)
        if len(tokens) == 1:
            table[tokens[0]] = torch.from_numpy(found.vectors[row])
    return table


class Tokens:
    """Token ids of texts, remembered by word."""

    def __init__(self) -> None:
        self.encode, self.known = open_clip.SimpleTokenizer().encode, dict[str, list[int]]()

    def of(self, text: str) -> list[int]:
        """Those of one text."""
        for word in text.split():
            if word not in self.known:
                self.known[word] = self.encode(word)
        return [token for word in text.split() for token in self.known[word]]


@dataclass
class TextRun:
    """The text tower in training.

    Attributes:
        speaker: makes what is said.
        targets: gives the vectors that are described, one of each emoji a step.
        moved: those vectors where they are trained too, float32 (emoji, dim); `old` is where they were.
    """

    tower: TextTower
    speaker: Speaker
    targets: Callable[[np.random.Generator], torch.Tensor]
    seed: int
    tokens: Tokens
    moved: torch.nn.Parameter | None = None
    old: torch.Tensor | None = None


def tune_texts(run: TextRun, kept: Path, steps: int, rate: float = 1.0) -> None:
    """Train the text tower to say which vectors a phrase describes, its rates times `rate`."""
    tower = run.tower
    groups = [
        {"params": tower.dense(), "top_rate": rate * TEXTS_RATE, "weight_decay": 0.02},
        {"params": [tower.matrix], "top_rate": 1.5 * rate * TEXTS_RATE, "weight_decay": 0.0},
        {"params": [tower.scale], "top_rate": 0.5 * rate * TEXTS_RATE, "weight_decay": 0.0},
    ]
    if run.moved is not None:
        groups.append({"params": [run.moved], "top_rate": TARGETS_RATE, "weight_decay": 0.0})
    words = [{"params": list(tower.beside.parameters()), "top_rate": rate * WORDS_RATE}]
    dense = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    sparse = torch.optim.SparseAdam(words, betas=(0.9, 0.98))
    average = {} if run.moved is None else {"moved": run.moved.data}
    state = Kept(kept, {"tower": tower, "dense": dense, "sparse": sparse})
    state.load(average)
    for step in range(state.step, steps):
        loss = text_loss(run, np.random.default_rng([run.seed, step]))
        state.save(step + 1, steps, descend(loss, [dense, sparse], step, steps), average)
    tower.fold()


def text_loss(run: TextRun, rng: np.random.Generator) -> torch.Tensor:
    """Texts against one vector of every emoji, and the emoji that each describes best against the texts."""
    said = [run.speaker.say(rng) for _ in range(TEXTS)]
    shares = torch.from_numpy(np.stack([share for _, share in said]))
    vectors = run.tower(pad_tokens([run.tokens.of(text) for text, _ in said]))
    logits = run.tower.scale.exp().clamp(max=100) * vectors @ run.targets(rng).T
    meant, own = shares.sum(dim=1) > 0, torch.arange(TEXTS)
    to_picture = -(shares * F.log_softmax(logits, dim=1)).sum(dim=1)[meant].mean()
    best = shares.argmax(dim=1)
    also_true = (shares[:, best] > ALSO_TRUE * shares.amax(dim=1, keepdim=True)) | ~meant[:, None]
    masked = logits[:, best].masked_fill(also_true.index_put((own, own), torch.tensor(False)), -torch.inf)
    loss = to_picture + PICTURE_LOSS * F.cross_entropy(masked.T, own, reduction="none")[meant].mean()
    if run.moved is None or run.old is None:
        return loss
    return loss + PULL * (1 - (F.normalize(run.moved, dim=-1) * run.old).sum(dim=-1)).mean()


def mixed_vectors(
    model: open_clip.CLIP, targets: torch.Tensor, gallery: Gallery
) -> Callable[[np.random.Generator], torch.Tensor]:
    """For each emoji its target, its bundled picture or one of another style: texts shall find all of them."""
    vectors, everyone = encode_gallery(model, gallery), np.arange(len(gallery.rows))
    bundled = torch.from_numpy(gallery.rows[:, 0])

    def draw(rng: np.random.Generator) -> torch.Tensor:
        rows, kind = choose_rows(gallery, everyone, rng), torch.from_numpy(rng.random(len(everyone)))
        pictures = vectors[torch.where(kind < SETTLED_BUNDLED, bundled, rows)]
        return torch.where((kind < SETTLED_TARGETS)[:, None], targets, pictures)

    return draw


@torch.no_grad()
def phrase_vectors(run: TextRun, count: int) -> torch.Tensor:
    """The names of the emoji and things that are said, `count` in all: unit float32 (count, dim)."""
    rng = np.random.default_rng(5)
    said = [each.name for each in run.speaker.emoji]
    said += [run.speaker.say(rng)[0] for _ in range(count - len(said))]
    parts = [said[at : at + TEXTS] for at in range(0, count, TEXTS)]
    return torch.cat([run.tower(pad_tokens([run.tokens.of(text) for text in part])) for part in parts])
