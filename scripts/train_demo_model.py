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
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import open_clip
import torch
from demo_batches import Batch, Recipe, make_batches
from demo_gallery import Gallery, read_gallery
from demo_model import MODEL, encode_names, encode_pictures, export_model, read_bundled_pictures, recall
from demo_tuning import contrastive_loss, tune_both, tune_texts
from demo_words import Words, read_words
from make_demo_data import BUNDLED_STYLE, Emoji, lay_on_white, read_emoji, read_pictures

log = logging.getLogger("demo")

UNSEEN_STYLE = "twemoji"


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
