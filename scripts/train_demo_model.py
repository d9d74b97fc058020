"""Train the demo's CLIP from scratch on pictures and words of emoji, on a CPU.

    python scripts/train_demo_model.py --work build/demo

The model is open_clip's own `CLIP` with a small ResNet and a small text transformer, so that
`open_clip.create_model_from_pretrained("local-dir:clip_spark/demo/model")` loads what comes out.
Both towers are trained together first. This keeps a checkpoint in `--work` and goes on from it when
started again. The learning rate stays level and falls only in the last part of `--steps`, so a run may
be made longer until then. Then the text tower is tuned alone, both once more, and the texts again.

At the end the figures are printed: picture -> name over all names, on the bundled pictures (Noto)
and on a style that was never trained on (Twemoji).

Needs, beyond clip-spark with open_clip: `pip install resvg-py`, and `npm` for the pictures.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import math
import re
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from make_demo_data import BUNDLED_STYLE, Emoji, lay_on_white, read_emoji, read_pictures
from PIL import Image
from safetensors.torch import save_file

log = logging.getLogger("demo")

TRAINING_STYLES = {
    "noto": 5.0,
    "fluent": 2.0,
    "fluent-flat": 2.0,
    "noto-v1": 2.0,
    "emojione": 2.0,
    "fxemoji": 1.0,
    "flag-icons": 4.0,
}
UNSEEN_STYLE = "twemoji"

MODEL = {
    "embed_dim": 256,
    "vision_cfg": {"image_size": 64, "layers": [2, 3, 4, 2], "width": 16, "head_width": 64, "patch_size": None},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 96, "heads": 3, "layers": 3},
}
PREPROCESS = {
    "size": 64,
    "mode": "RGB",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 255,
}
TEMPLATES = ("a picture of {}", "a picture of a {}", "an emoji of {}", "a photo of a {}", "{} emoji", "{} icon")
FILLERS = re.compile("and|with|of|the|in|on|a|an|not|for|no|at|to|from|without|other")
DIRECTED = re.compile(r"\b(left|right|arrow|clock|o’clock|thirty|button|keycap|east|west|backhand)", re.IGNORECASE)
GROUNDS = (0.6, 0.05)
"""Shares of white and black among the grounds that pictures are laid on."""
MIRRORED_GROUPS = {"smileys-emotion", "people-body", "animals-nature", "food-drink", "activities", "objects"}


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


# -- words -----------------------------------------------------------------------------------------


@dataclass
class Words:
    """What may be said about each emoji, as token ids, and which emoji each term describes.

    `describes` is bool (terms, emoji); the first terms are the names, in the order of the emoji.
    """

    tokens: list[list[int]]
    keywords: list[list[int]]
    describes: np.ndarray
    templates: list[tuple[list[int], list[int]]] = field(default_factory=list)


def read_words(emoji: list[Emoji]) -> Words:
    """Collect names and keywords as terms."""
    terms = {("name", each.name): number for number, each in enumerate(emoji)}
    keywords = [
        sorted({terms.setdefault(("keyword", word), len(terms)) for word in sorted(words_about(each))})
        for each in emoji
    ]
    describes = np.zeros((len(terms), len(emoji)), bool)
    for number, numbers in enumerate(keywords):
        describes[[number, *numbers], number] = True
    encode = open_clip.SimpleTokenizer().encode
    templates = [tuple(encode(side) for side in template.split("{}")) for template in TEMPLATES]
    return Words([encode(term) for _, term in terms], keywords, describes, templates)


def words_about(emoji: Emoji) -> set[str]:
    """Keywords, the words of the name, and the words of its group and subgroup."""
    words = {word.lower() for word in (*emoji.keywords, *emoji.more_keywords)}
    words |= set(re.findall(r"\w+", emoji.name.lower()))
    words |= {*emoji.group.split("-"), *emoji.subgroup.split("-"), emoji.subgroup.replace("-", " ")}
    if emoji.name.startswith("flag: "):
        country = emoji.name[6:].lower()
        words |= {country, f"flag of {country}", f"{country} flag"}
    return {word for word in words if not FILLERS.fullmatch(word)}


def choose_terms(words: Words, number: int, rng: np.random.Generator) -> list[int]:
    """Choose what to say about one emoji: its name, a keyword, both, or several keywords."""
    keywords = words.keywords[number]
    kind = rng.random()
    if kind < 0.45:
        return [number]
    if kind < 0.72:
        return [int(rng.choice(keywords))]
    several = [int(each) for each in rng.permutation(keywords)[: rng.integers(1, 4)]]
    return [number, *several] if kind < 0.9 else several


def phrase(words: Words, terms: list[int], rng: np.random.Generator) -> list[int]:
    """Token ids of the chosen terms, sometimes inside a template."""
    said = [token for term in terms for token in words.tokens[term]]
    if len(terms) == 1 and rng.random() < 0.3:
        before, after = words.templates[rng.integers(len(words.templates))]
        said = [*before, *said, *after]
    return said


def pad_tokens(rows: list[list[int]]) -> torch.Tensor:
    """Frame token rows with start and end, and pad them to the longest: int64 (rows, length)."""
    vocabulary, longest = MODEL["text_cfg"]["vocab_size"], MODEL["text_cfg"]["context_length"] - 2
    framed = [[vocabulary - 2, *row[:longest], vocabulary - 1] for row in rows]
    padded = torch.zeros(len(framed), max(map(len, framed)), dtype=torch.long)
    for number, row in enumerate(framed):
        padded[number, : len(row)] = torch.tensor(row)
    return padded


# -- pictures --------------------------------------------------------------------------------------


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


# -- batches and loss ------------------------------------------------------------------------------


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


def encode_texts(model: open_clip.CLIP, tokens: torch.Tensor, parts: int = 4) -> torch.Tensor:
    """Encode texts in parts of like length: unit float32 (rows, dim)."""
    return in_parts(partial(encode_trimmed, model), tokens, parts)


def in_parts(encode: Callable[[torch.Tensor], torch.Tensor], tokens: torch.Tensor, parts: int) -> torch.Tensor:
    """What a tower makes of texts, given in parts of like length, as padding costs time and changes nothing."""
    lengths = tokens.argmax(dim=-1) + 1
    order = lengths.argsort(stable=True)
    encoded = [encode(tokens[rows, : lengths[rows[-1]]]) for rows in order.tensor_split(parts)]
    return torch.cat(encoded)[order.argsort()]


def encode_trimmed(model: open_clip.CLIP, tokens: torch.Tensor) -> torch.Tensor:
    """The model's `encode_text` on rows shorter than its context: unit float32 (rows, dim)."""
    length = tokens.shape[1]
    hidden = model.token_embedding(tokens) + model.positional_embedding[:length]
    hidden = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask[:length, :length]))
    ends = hidden[torch.arange(len(tokens)), tokens.argmax(dim=-1)]
    return F.normalize(ends @ model.text_projection, dim=-1)


def contrastive_loss(model: open_clip.CLIP, batch: Batch) -> torch.Tensor:
    """CLIP's loss in both directions, leaving out other texts that are true of a picture."""
    count = len(batch.pictures)
    pictures = model.encode_image(batch.pictures, normalize=True)
    logits = model.logit_scale.exp() * pictures @ encode_texts(model, batch.tokens).T
    own = torch.arange(count)
    also_true = batch.described.index_put((own, own), torch.tensor(False))
    logits = logits.masked_fill(also_true, -torch.inf)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits[:, :count].T, own)) / 2


# -- training --------------------------------------------------------------------------------------


@dataclass
class Run:
    """A training run: the model, the running average of its weights, the optimizer, and how far it is."""

    model: open_clip.CLIP
    average: dict[str, torch.Tensor]
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0


def start_run(recipe: Recipe) -> Run:
    """A fresh run of randomly initialised weights."""
    torch.manual_seed(recipe.seed)
    model = open_clip.CLIP(**MODEL).to(memory_format=torch.channels_last)
    decayed = [each for name, each in model.named_parameters() if each.ndim > 1 and "embedding" not in name]
    others = [each for name, each in model.named_parameters() if not (each.ndim > 1 and "embedding" not in name)]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98))
    return Run(model, {name: value.clone() for name, value in model.state_dict().items()}, optimizer)


def save_run(run: Run, path: Path) -> None:
    """Write the checkpoint in one piece."""
    state = {"model": run.model.state_dict(), "average": run.average, "optimizer": run.optimizer.state_dict()}
    temporary = path.with_suffix(".tmp")
    torch.save({**state, "step": run.step, "seconds": run.seconds}, temporary)
    temporary.replace(path)


def load_run(recipe: Recipe, path: Path) -> Run:
    """The run of the checkpoint, or a fresh one where there is none."""
    run = start_run(recipe)
    if path.exists():
        state = torch.load(path, weights_only=True)
        run.model.load_state_dict(state["model"])
        run.optimizer.load_state_dict(state["optimizer"])
        run.average, run.step, run.seconds = state["average"], state["step"], state["seconds"]
        log.info("going on from step %d", run.step)
    return run


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Level after a warm-up, falling along a cosine in the last part."""
    falling = max(1.0, recipe.falling_part * steps)
    done = min(1.0, max(0.0, (step - (steps - falling)) / falling))
    return recipe.learning_rate * min(1.0, (step + 1) / recipe.warmup_steps) * (0.5 + 0.5 * math.cos(math.pi * done))


def train_step(run: Run, batch: Batch, recipe: Recipe, steps: int) -> float:
    """One step of the optimizer and of the running average."""
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate(recipe, run.step, steps)
    loss = contrastive_loss(run.model, batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    run.optimizer.step()
    run.optimizer.zero_grad()
    run.step += 1
    update_average(run, min(recipe.ema_decay, run.step / (run.step + 10)))
    return loss.item()


@torch.no_grad()
def update_average(run: Run, decay: float) -> None:
    """Move the running average towards the weights; keep the temperature in bounds."""
    run.model.logit_scale.clamp_(max=math.log(100))
    blend(run.average, run.model, decay)


@torch.no_grad()
def blend(average: Mapping[str, torch.Tensor], module: torch.nn.Module, decay: float) -> None:
    """Move a running average towards the weights."""
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)


def train(run: Run, words: Words, gallery: Gallery, recipe: Recipe, arguments: argparse.Namespace) -> None:
    """Train to `--steps`, saving as it goes."""
    run.model.train()
    batches = make_batches(words, gallery, recipe, run.step)
    losses: list[float] = []
    while run.step < arguments.steps:
        began = time.monotonic()
        losses.append(train_step(run, next(batches), recipe, arguments.steps))
        run.seconds += time.monotonic() - began
        if run.step % 50 == 0:
            log.info("step %d  loss %.3f  %.0f s", run.step, np.mean(losses[-50:]), run.seconds)
        if run.step % arguments.save_every == 0 or run.step == arguments.steps:
            save_run(run, arguments.work / "checkpoint.pt")


# -- tuning ---------------------------------------------------------------------


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


@torch.no_grad()
def encode_gallery(model: open_clip.CLIP, gallery: Gallery) -> torch.Tensor:
    """Unit vectors of all training pictures on white, without distortion: float32 (pictures, dim)."""
    mean, std = (torch.tensor(PREPROCESS[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    model.eval()
    parts = [part.float() / 255 for part in gallery.pixels.split(256)]
    return torch.cat(
        [model.encode_image((part[:, :3] + 1 - part[:, 3:] - mean) / std, normalize=True) for part in parts]
    )


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


# -- export and figures ----------------------------------------------------------------------------


def export_model(average: Mapping[str, torch.Tensor], folder: Path, model: Mapping[str, Any] = MODEL) -> None:
    """Write config and weights as open_clip's `local-dir:` reads them; weights as float16."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": model, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous() for name, value in average.items()
    }
    path = folder / "open_clip_model.safetensors"
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)


def read_bundled_pictures(folder: Path) -> list[Image.Image]:
    """The bundled pictures, in order."""
    pictures: list[Image.Image] = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            members = [member for member in tar if member.name.endswith(".png")]
            pictures += [Image.open(io.BytesIO(tar.extractfile(member).read())) for member in members]  # type: ignore[union-attr]
    return pictures


@torch.no_grad()
def encode_names(model: open_clip.CLIP, names: list[str]) -> torch.Tensor:
    """Unit vectors of texts, through open_clip's own tokenizer: float32 (texts, dim)."""
    tokens = open_clip.SimpleTokenizer(context_length=MODEL["text_cfg"]["context_length"])(names)
    return torch.cat([model.encode_text(part, normalize=True) for part in tokens.split(256)])


@torch.no_grad()
def encode_pictures(model: open_clip.CLIP, preprocess: object, pictures: list[Image.Image]) -> torch.Tensor:
    """Unit vectors of pictures, through open_clip's own transform: float32 (pictures, dim)."""
    pixels = torch.stack([preprocess(picture) for picture in pictures])  # type: ignore[operator]
    return torch.cat([model.encode_image(part, normalize=True) for part in pixels.split(256)])


def recall(queries: torch.Tensor, answers: torch.Tensor, wanted: torch.Tensor) -> dict[str, float]:
    """R@1, R@5 and R@10 of queries whose right answer is row `wanted`."""
    scores = queries @ answers.T
    ranks = (scores > scores.gather(1, wanted[:, None])).sum(dim=1)
    return {f"R@{k}": round((ranks < k).float().mean().item(), 4) for k in (1, 5, 10)}


def report_figures(arguments: argparse.Namespace, emoji: list[Emoji]) -> None:
    """Load the exported model as a user would, and print its figures on both styles."""
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{arguments.output / 'model'}")
    model.eval()
    names = encode_names(model, [each.name for each in emoji])
    unseen = read_pictures(UNSEEN_STYLE, emoji, arguments.work)
    styles = {
        BUNDLED_STYLE: dict(enumerate(read_bundled_pictures(arguments.output / "pictures"))),
        UNSEEN_STYLE: {number: lay_on_white(picture) for number, picture in unseen.items()},
    }
    for style, pictures in styles.items():
        vectors, numbers = encode_pictures(model, preprocess, list(pictures.values())), torch.tensor(list(pictures))
        log.info("%s, picture -> name: %s", style, recall(vectors, names, numbers))
        log.info("%s, name -> picture: %s", style, recall(names[numbers], vectors, torch.arange(len(numbers))))


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/demo"), help="folder of tarballs and the checkpoint")
    parser.add_argument("--output", type=Path, default=Path("clip_spark/demo"), help="folder whose model/ is written")
    parser.add_argument("--steps", type=int, default=1100, help="steps of both towers together")
    rounds = "of texts, both, and texts as often as numbers follow"
    parser.add_argument("--tuning-steps", type=int, nargs="+", default=[300, 160, 300, 400, 400, 400], help=rounds)
    parser.add_argument("--save-every", type=int, default=250, help="steps between checkpoints")
    parser.add_argument("--threads", type=int, default=2, help="threads of the CPU")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Train, export and report."""
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    arguments = parse_arguments(argv)
    torch.set_num_threads(arguments.threads)
    recipe = Recipe(seed=arguments.seed)
    emoji = read_emoji(arguments.work)
    run = load_run(recipe, arguments.work / "checkpoint.pt")
    model = open_clip.CLIP(**MODEL).to(memory_format=torch.channels_last)
    words, gallery = read_words(emoji), read_gallery(emoji, arguments.work)
    train(run, words, gallery, recipe, arguments)
    model.load_state_dict(run.average)
    for number, steps in enumerate(arguments.tuning_steps):  # the second round trains both towers, the others texts
        (tune_both if number == 1 else tune_texts)(
            model, words, gallery, replace(recipe, seed=recipe.seed + number), steps
        )
    export_model(model.state_dict(), arguments.output / "model")
    log.info("%d steps in %.0f s", run.step, run.seconds)
    report_figures(arguments, emoji)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
