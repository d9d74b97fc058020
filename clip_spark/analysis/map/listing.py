"""*Driver.* What a page reads first: `tiles.json`, and the tiles that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clip_spark import storage
from clip_spark.analysis.map.tiles import TILES
from clip_spark.datasets.manifest import inside
from clip_spark.datasets.receipt import shard_name
from clip_spark.datasets.run import Run

NAMES = "names"
TILE_FORMAT = 1
SHOWN = (0.005, 0.995)
"""Quantiles of the anchors that the first view shows: UMAP throws clusters far away."""


def listed_tiles(run: Run) -> list[dict[str, Any]]:
    """*Driver.* The tiles of a run by zoom, each with `file`: its path in the dataset without the endings."""
    found = []
    for receipt in run.receipts():
        listed = f"{TILES}/{shard_name(receipt.shard)}.json"
        if listed in receipt.files:
            base = inside(run.place, f"{TILES}/{shard_name(receipt.shard)}")
            tiles = storage.read_json(storage.join(run.output, listed))
            found += [{**tile, "file": f"{base}.{tile['tile']}"} for tile in tiles]
    return sorted(found, key=lambda tile: (int(tile["tile"].split("-")[1]), tile["tile"]))


def tiles_list(
    frame: Mapping[str, Any], places: np.ndarray, rows: Mapping[str, int], tiles: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """*Pure.* The content of `tiles.json`.

    Args:
        frame: its JSON.
        places: of the anchors, float32 (n, 2).
        rows: points of each kind.
        tiles: from `listed_tiles`.
    """
    low, high = np.quantile(places, SHOWN, axis=0).tolist()
    deepest = max((int(tile["tile"].split("-")[1]) for tile in tiles), default=0)
    return {
        "format": TILE_FORMAT,
        "square": frame["square"],
        "view": [*low, *high],
        "rows": dict(rows),
        "deepest": deepest,
        "tiles": list(tiles),
    }
