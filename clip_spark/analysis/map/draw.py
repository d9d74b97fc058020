"""*Worker.* The drawings of a map: `map.png` with its points, `poster.png` with thumbnails; both name the regions."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from clip_spark import storage
from clip_spark.analysis.map.boxes import Boxes, around, to_pixels
from clip_spark.analysis.map.levels import Square
from clip_spark.analysis.map.regions import blurred
from clip_spark.analysis.map.sheets import thumbnails_of, trimmed
from clip_spark.analysis.map.sprites import CELL

log = logging.getLogger(__name__)

MAP, POSTER = DRAWN = ("map.png", "poster.png")
MAP_PIXELS, POSTER_PIXELS = 1400, 2800
MOST_POINTS = 200_000
MOST_TRIED = 6000
LETTERS = (44, 26, 18)
"""Height of names at each zoom, in pixels of the poster."""
COLOURS = {"image": (27, 108, 168), "text": (214, 126, 20)}
STRENGTH = 1.2
"""How quickly dots become dark; in units of what is usual at a dot, so that few and many are seen alike."""


@dataclass(frozen=True)
class DrawMap:
    """*Worker.* Draws one map; picklable.

    Attributes:
        output: URI where the drawings go.
        listed: content of tiles.json.
        zooms: content of regions.json.
    """

    output: str
    listed: Mapping[str, Any]
    zooms: Sequence[Mapping[str, Any]]

    def __call__(self, uri: str) -> int:
        """Draw the map whose tiles lie below `uri`; returns the number of thumbnails. Without pillow it says so."""
        try:
            import PIL.Image  # noqa: F401
        except ImportError:
            log.info("drawings are left out: pillow is missing; pip install pillow brings it.")
            return 0
        tiles = list(first_tiles(self.listed["tiles"]))
        square = Square(*self.listed["square"])
        layers = {kind: self._places(uri, square, tiles, kind) for kind in COLOURS}
        self._draw(MAP, MAP_PIXELS, layers)
        return self._draw(POSTER, POSTER_PIXELS, layers, thumbnails(uri, square, tiles))

    def _draw(self, name: str, size: int, layers: Mapping[str, np.ndarray], pictures: Iterable[Any] = ()) -> int:
        from PIL import Image, ImageDraw

        view, boxes = self.listed["view"], Boxes(size)
        sheet = Image.fromarray(dots({kind: to_pixels(at, view, size) for kind, at in layers.items()}, size))
        canvas = ImageDraw.Draw(sheet)
        labels = list(self._names(canvas, size, boxes))
        pasted = sum(_paste(sheet, boxes, small, to_pixels(at[None], view, size)[0]) for at, small in pictures)
        for at, text, font in labels:
            canvas.text(at, text, (20, 20, 20), font, "mm", stroke_width=3, stroke_fill="white")
        data = io.BytesIO()
        sheet.save(data, "PNG")
        storage.write_bytes(storage.join(self.output, name), data.getvalue())
        return pasted

    def _names(self, canvas: Any, size: int, boxes: Boxes) -> Iterator[tuple[tuple[float, float], str, Any]]:
        """Names that find room, those of large regions first: (place, text, font)."""
        for zoom, height in zip(self.zooms, LETTERS, strict=False):
            font = font_of(height * size // POSTER_PIXELS + 6)
            for region in zoom["regions"]:
                text = next((name for name in (region["name"], *region["also"]) if readable(name, font)), "")
                x, y = to_pixels(np.array([[region["x"], region["y"]]]), self.listed["view"], size)[0]
                if text and boxes.take(canvas.textbbox((x, y), text, font, "mm", stroke_width=4)):
                    yield (x, y), text, font

    def _places(self, uri: str, square: Square, tiles: Sequence[Mapping[str, Any]], kind: str) -> np.ndarray:
        mine = [tile for tile in tiles if tile["tile"].startswith(f"{kind}-")]
        found = [places_in(square, tile["tile"], read_tile(uri, tile, "arrow")) for tile in mine]
        return np.concatenate([np.empty((0, 2)), *found])


def _paste(sheet: Any, boxes: Boxes, small: Any, at: np.ndarray) -> bool:
    """*Worker.* Put a thumbnail where it lies, if there is room."""
    x, y = at.tolist()
    box = around(x, y, small.width, small.height)
    if boxes.meets(around(x, y, CELL, CELL)) or not boxes.take(box):
        return False
    sheet.paste(small, (round(box[0]), round(box[1])), small)
    return True


def first_tiles(tiles: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """*Pure.* Whole zooms from the coarsest on, as long as they are no more than MOST_POINTS; at least the first."""
    count, zoom = 0, -1
    for tile in tiles:
        mine = int(tile["tile"].split("-")[1])
        if mine != zoom:
            zoom = mine
            count += sum(each["points"] for each in tiles if int(each["tile"].split("-")[1]) == mine)
        if count > MOST_POINTS and mine:
            return
        yield tile


def read_tile(uri: str, tile: Mapping[str, Any], ending: str) -> pa.Table:
    """*Worker.* One of the two files of a tile of the map at `uri`."""
    return pa.ipc.open_file(storage.read_bytes(storage.join(uri, f"{tile['file']}.{ending}"))).read_all()


def places_in(square: Square, name: str, table: pa.Table) -> np.ndarray:
    """*Pure.* Places on the map of the points of a tile, float64 (n, 2)."""
    zoom, column, row = (int(part) for part in name.split("-")[1:])
    inside = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1) / 65536
    return np.array([square.x, square.y]) + (inside + (column, row)) * square.side / (1 << zoom)


def thumbnails(uri: str, square: Square, tiles: Sequence[Mapping[str, Any]]) -> Iterator[tuple[np.ndarray, Any]]:
    """*Worker.* Thumbnails (PIL) with their places, a fair sample first; of at most MOST_TRIED rows."""
    left = MOST_TRIED
    for tile in (one for one in tiles if one.get("thumbnails")):
        places = places_in(square, tile["tile"], read_tile(uri, tile, "arrow"))
        count = min(tile["thumbnails"], left)
        for at, small in zip(places[:count], thumbnails_of(uri, tile), strict=False):
            if small is not None:
                yield at, trimmed(small)
        left -= count
        if left <= 0:
            return


def dots(layers: Mapping[str, np.ndarray], size: int) -> np.ndarray:
    """*Pure.* Points as soft dots on white, uint8 (size, size, 3); layers hold pixels, float (n, 2)."""
    sheet: np.ndarray = np.full((size, size, 3), 255.0)
    scale = size // MAP_PIXELS  # the blur of a grid costs its size cubed
    for kind, pixels in layers.items():
        cells = (pixels // scale).astype(np.int64)
        cells = cells[((cells >= 0) & (cells < MAP_PIXELS)).all(axis=1)]
        counts = np.zeros((MAP_PIXELS, MAP_PIXELS))
        np.add.at(counts, (cells[:, 1], cells[:, 0]), 1.0)
        soft = blurred(counts, 1.3)
        usual = np.median(soft[counts > 0]) if len(cells) else 1.0
        dark: np.ndarray = 1 - np.exp(-STRENGTH * soft / usual)
        dark = np.repeat(np.repeat(dark, scale, 0), scale, 1)[:, :, None] * (0.45 if kind == "text" else 0.75)
        sheet += (np.array(COLOURS[kind], float) - sheet) * dark
    return sheet.round().astype(np.uint8)


def font_of(height: int) -> Any:
    """*Worker.* DejaVu, which matplotlib brings and which has most scripts' letters; else pillow's own."""
    from PIL import ImageFont

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import matplotlib

            return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans-Bold.ttf", height)
        except (ImportError, OSError):
            return ImageFont.load_default(height)


def readable(text: str, font: Any) -> bool:
    """*Worker.* Whether a font has every letter of a text: a name of boxes is none."""
    missing = bytes(font.getmask("\U0010ffff"))
    return bool(text.strip()) and all(bytes(font.getmask(letter)) != missing for letter in set(text) - {" "})
