"""Decode and resize: CPU milliseconds of one core per JPEG, and how near the fast way comes to open_clip's own.

    python scripts/bench_decode.py --photos folder/of/photographs --model ViT-B-32:/path/weights.pt

Each photograph is scaled to the longest sides asked for and saved as JPEG (quality 90). `open_clip` is the model's own
transform on the opened file; `exact` and `fast` are ours, whose pixels stay 8-bit integers until they are in a batch.
The cosine is that of the embeddings to open_clip's, the least of all photographs.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
REPEATS = 5


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True, help="folder, searched to its depth")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--sides", default="512,2048", help="longest sides in pixels")
    parser.add_argument("--json", help="file for the figures")
    options = parser.parse_args()
    photos = open_photos(Path(options.photos))
    rows = [row for side in options.sides.split(",") for row in measure(photos, int(side), options.model)]
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{len(photos)} photographs, {options.model}")
    print("| longest side | way | ms per picture | pictures per core and second | least cosine |")
    print("|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    return 0


def open_photos(folder: Path) -> list[Any]:
    """Every picture that Pillow opens and that is large enough to be one."""
    from PIL import Image, UnidentifiedImageError

    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            image = Image.open(path).convert("RGB")
        except (UnidentifiedImageError, OSError):
            continue
        if min(image.size) >= 256:
            found.append(image)
    return found


def measure(photos: list[Any], side: int, model: str) -> list[dict[str, Any]]:
    """One row for each way."""
    import torch

    from clip_spark.encoders import EncoderSpec, load_encoder
    from clip_spark.encoders.loading import load_model

    torch.set_num_threads(1)
    encoder, transform = load_encoder(EncoderSpec(model, "fp32"), "cpu"), load_model(model).transform
    files = [jpeg(photo, side) for photo in photos]
    tensors, reference_ms = timed(lambda data: transform(open_file(data)), files)
    with torch.inference_mode():
        reference = torch.nn.functional.normalize(encoder._model.encode_image(torch.stack(tensors)), dim=1).numpy()
    rows = [row_of(side, "open_clip", reference_ms, 1.0)]
    for way, fast in (("exact", False), ("fast", True)):
        pixels, ms = timed(partial(encoder.prepare, fast=fast), files)
        cosines = (encoder.encode_pixels(np.stack([each.values for each in pixels])) * reference).sum(axis=1)
        rows.append(row_of(side, way, ms, float(cosines.min())))
    return rows


def open_file(data: bytes) -> Any:
    """A picture, not decoded yet."""
    from PIL import Image

    return Image.open(io.BytesIO(data))


def jpeg(photo: Any, side: int) -> bytes:
    """The photograph with that longest side, as a JPEG."""
    from PIL.Image import Resampling

    scale = side / max(photo.size)
    stream = io.BytesIO()
    size = (round(photo.width * scale), round(photo.height * scale))
    photo.resize(size, Resampling.LANCZOS).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def timed(work: Callable[[bytes], Any], files: list[bytes]) -> tuple[list[Any], float]:
    """What `work` makes of each file, and the CPU milliseconds per file of the fastest of some repeats."""
    best, made = float("inf"), [work(files[0])]
    for _ in range(REPEATS):
        start = time.process_time()
        made = [work(data) for data in files]
        best = min(best, (time.process_time() - start) / len(files))
    return made, best * 1e3


def row_of(side: int, way: str, ms: float, cosine: float) -> dict[str, Any]:
    """A row of the table."""
    return {
        "side": side,
        "way": way,
        "ms": round(ms, 2),
        "per_second": round(1e3 / ms, 1),
        "least_cosine": round(cosine, 5),
    }


if __name__ == "__main__":
    raise SystemExit(main())
