"""The demo's CLIP: its shape, what it makes of texts and pictures, its file, and how often it is right."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

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
