"""Tune the demo's CLIP for what people type, and for pictures on other grounds than white.

    apt-get download wordnet-base && dpkg -x wordnet-base_*.deb build/wordnet
    python scripts/tune_demo_model.py --work build/demo --wordnet build/wordnet/usr/share/wordnet

Goes on from the weights that `train_demo_model.py` made. The towers never meet, so that each stage is cheap:

1. A new text tower learns which emoji a phrase of `demo_phrases.py` describes, and each emoji's vector moves a
   little from where the old towers have it, so that what is said of several emoji can be near to all of them. The
   word table is GloVe's through one matrix, and what a token needs beside it: a word that was never said lies near
   those used alike.
2. The picture tower learns to stand where those vectors are, for phrases as for neighbours, on all grounds, from more
   styles.
3. The text tower settles on the vectors of the pictures themselves, among the others.

Each keeps a checkpoint in `--work` and goes on from it; `--output` is written at the end.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from demo_gallery import read_gallery
from demo_lexicon import WordVectors, make_lexicon
from demo_model import MODEL, export_model
from demo_phrases import Speaker
from demo_picture_tower import PictureRun, find_targets, tune_pictures
from demo_text_tower import (
    HEADS,
    WIDTH,
    TextRun,
    TextTower,
    Tokens,
    mixed_vectors,
    phrase_vectors,
    token_vectors,
    tune_texts,
)
from make_demo_data import read_emoji

log = logging.getLogger("demo")

STYLES = {
    "noto": 4.0,
    "fluent": 2.0,
    "fluent-flat": 2.0,
    "noto-v1": 2.0,
    "emojione": 2.5,
    "fxemoji": 1.5,
    "flag-icons": 2.0,
    "streamline": 1.5,
}
TUNED = {**MODEL, "text_cfg": {**MODEL["text_cfg"], "width": WIDTH, "heads": HEADS}}
PHRASES = 24_000
"""How many texts teach the picture tower."""


def load_model(folder: Path) -> open_clip.CLIP:
    """The model to go on from, as open_clip reads it."""
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    return model.to(memory_format=torch.channels_last).eval()


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/demo"), help="folder of tarballs and checkpoints")
    parser.add_argument("--wordnet", type=Path, default=Path("build/wordnet/usr/share/wordnet"), help="WordNet's files")
    parser.add_argument("--model", type=Path, default=Path("clip_spark/demo/model"), help="folder to go on from")
    parser.add_argument("--output", type=Path, default=Path("clip_spark/demo/model"), help="folder to write")
    parser.add_argument("--picture-steps", type=int, default=900)
    parser.add_argument("--text-steps", type=int, default=1000)
    parser.add_argument("--settle-steps", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2, help="threads of the CPU")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Tune both towers and write the model."""
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    arguments = parse_arguments(argv)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    emoji = read_emoji(arguments.work)
    gallery, old = read_gallery(emoji, arguments.work, STYLES), load_model(arguments.model)
    targets = find_targets(old, emoji, gallery)
    model = open_clip.CLIP(**TUNED).to(memory_format=torch.channels_last)
    model.visual.load_state_dict(old.visual.state_dict())
    tower = TextTower(model, token_vectors(WordVectors.read(arguments.work), TUNED["text_cfg"]["vocab_size"]))
    speaker = Speaker(emoji, make_lexicon(emoji, arguments.work, arguments.wordnet))
    moved = torch.nn.Parameter(targets.clone())
    run = TextRun(tower, speaker, lambda _: F.normalize(moved, dim=-1), 5, Tokens(), moved, targets)
    tune_texts(run, arguments.work / "texts.pt", arguments.text_steps)
    targets, scale = F.normalize(moved.detach(), dim=-1), min(100.0, tower.scale.exp().item())
    pictures = PictureRun(targets, phrase_vectors(run, PHRASES), scale, gallery)
    tune_pictures(model, pictures, arguments.work / "pictures.pt", arguments.picture_steps)
    settled = TextRun(tower, speaker, mixed_vectors(model, targets, gallery), 7, run.tokens)
    tune_texts(settled, arguments.work / "settled.pt", arguments.settle_steps, rate=0.5)
    export_model(model.state_dict(), arguments.output, TUNED)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
