"""How well the demo's model answers what people type: names in phrases, everyday queries, and a style never trained on.

    python scripts/bench_demo_model.py --work build/demo [--model DIR] [--json figures.json]

No text of a training is made from these frames and queries. The unseen style is written as transparent PNG files, and
these are read as `embed-images` reads them. docs/answers.md has the summary.
"""

from __future__ import annotations

import argparse
import io
import json
import re
from pathlib import Path
from typing import Any

import open_clip
import torch
from demo_model import encode_names, encode_pictures, read_bundled_pictures, recall
from demo_queries import EVERYDAY
from make_demo_data import BUNDLED_STYLE, Emoji, read_emoji, read_pictures
from PIL import Image
from train_demo_model import UNSEEN_STYLE

from clip_spark.pictures.decode import open_picture
from clip_spark.pictures.look import Look

FRAMES = (
    "{}",
    "an image of {}",
    "I want a {}",
    "show me {}",
    "two {}s",
    "a happy {}",
    "fetch me the enormous {}",
    "would anyone hand over two lovely {}s",
    "a drawing of the {} over there",
    "I wish I had a {}",
    "images with a {} in them",
    "is there anything like a {}?",
)
GROUNDS = ("white", "black", "open_clip")


def phrases(names: list[str], pictures: torch.Tensor, model: Any) -> list[dict[str, Any]]:
    """Name in a frame -> its picture among all; and R@5 as a share of the bare name's."""
    rows: list[dict[str, Any]] = []
    for frame in FRAMES:
        found = recall(encode_names(model, [frame.format(name) for name in names]), pictures, torch.arange(len(names)))
        rows.append({"frame": frame.format("X"), **found})
    return [{**row, "R@5 of bare": round(row["R@5"] / rows[0]["R@5"], 4)} for row in rows]


def everyday(names: list[str], pictures: torch.Tensor, model: Any) -> list[dict[str, Any]]:
    """The first five pictures of each everyday query, and whether one is sensible."""
    first = (encode_names(model, list(EVERYDAY)) @ pictures.T).topk(5).indices.tolist()
    rows = []
    for (query, pattern), numbers in zip(EVERYDAY.items(), first, strict=True):
        found = [names[number] for number in numbers]
        fits = [re.search(rf"\b(?:{pattern})", name.lower()) is not None for name in found]
        rows.append({"query": query, "sensible": any(fits), "of 5": sum(fits), "found": ", ".join(found)})
    return rows


def styles(emoji: list[Emoji], model: Any, preprocess: Any, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Recall between names and pictures, for the bundled pictures and for transparent files of the unseen style."""
    names = encode_names(model, [each.name for each in emoji])
    bundled = read_bundled_pictures(arguments.data / "pictures")
    rows = [{"style": BUNDLED_STYLE, **both_ways(names, encode_pictures(model, preprocess, bundled))}]
    unseen = read_pictures(UNSEEN_STYLE, emoji, arguments.work)
    files = [png(rgba) for rgba in unseen.values()]
    for ground in GROUNDS:
        pictures = [open_picture(file, Look(background=ground)) for file in files]
        found = both_ways(names[list(unseen)], encode_pictures(model, preprocess, pictures), names, list(unseen))
        rows.append({"style": f"{UNSEEN_STYLE}, transparent, --background {ground}", **found})
    return rows


def both_ways(
    own: torch.Tensor, pictures: torch.Tensor, names: torch.Tensor | None = None, numbers: list[int] | None = None
) -> dict[str, float]:
    """R@1 and R@5 of picture -> name and name -> picture; `own` are the pictures' own names."""
    every, at = own if names is None else names, torch.tensor(numbers) if numbers else torch.arange(len(own))
    to_name, to_picture = recall(pictures, every, at), recall(own, pictures, torch.arange(len(own)))
    ways = {"name": to_name, "picture": to_picture}
    return {f"{way} {k}": found[k] for way, found in ways.items() for k in ("R@1", "R@5")}


def png(rgba: Any) -> bytes:
    """A transparent picture as a file."""
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    return buffer.getvalue()


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/demo"), help="folder of the npm tarballs")
    parser.add_argument("--data", type=Path, default=Path("clip_spark/demo"), help="folder of the bundled pictures")
    parser.add_argument("--model", type=Path, default=Path("clip_spark/demo/model"))
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser.parse_args()


@torch.no_grad()
def main() -> int:
    """Measure and print."""
    arguments = parse_arguments()
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{arguments.model}")
    model.eval()
    emoji = read_emoji(arguments.work)
    names = [each.name for each in emoji]
    pictures = encode_pictures(model, preprocess, read_bundled_pictures(arguments.data / "pictures"))
    tables = {
        "phrases": phrases(names, pictures, model),
        "everyday": everyday(names, pictures, model),
        "styles": styles(emoji, model, preprocess, arguments),
    }
    for rows in tables.values():
        print("\n".join(" | ".join(map(str, row.values())) for row in [{name: name for name in rows[0]}, *rows]) + "\n")
    sensible = sum(row["sensible"] for row in tables["everyday"])
    print(f"{sensible} of {len(EVERYDAY)} everyday queries have a sensible picture among the first five")
    if arguments.json:
        arguments.json.write_text(json.dumps(tables, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
