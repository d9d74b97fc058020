"""*Worker.* A map in one piece of bytes, for a page or a notebook that has no server to ask.

Gzip of: the length of a head in JSON (uint32, little-endian), the head, and files one after the other from the next
multiple of 8 on. `files` of the head says where each lies: `TILE` (as the step wrote it), `records/TILE` (record_id,
title, link of the same points) and `sheets/N`; `sheets` says which points each sheet shows.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa

from clip_spark import storage
from clip_spark.analysis.map.draw import first_tiles, read_tile
from clip_spark.analysis.map.frame import unreadable
from clip_spark.analysis.map.sheets import thumbnails_of
from clip_spark.analysis.map.sprites import MOST_PICTURES, sheet_of
from clip_spark.analysis.map.tiles import RECORD_COLUMNS, REGIONS, TILES_LIST, arrow_file
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest
from clip_spark.pictures.stored import is_web_address
from clip_spark.search.contact_sheet import file_name

log = logging.getLogger(__name__)

MOST_SHEETS = 16
"""Of small pictures: 1,024, about two megabytes."""
ALIGNED = 8


@dataclass
class _Files:
    """Files one after the other."""

    data: io.BytesIO = field(default_factory=io.BytesIO)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, name: str, content: bytes) -> None:
        self.places[name] = (self.data.tell(), len(content))
        self.data.write(content + bytes(-len(content) % ALIGNED))


def stored_map(manifest: Manifest) -> bytes:
    """*Worker.* A map with whole zooms of at most 200,000 points, and the pictures of a fair sample of them."""
    listed = storage.read_json(manifest.locate(TILES_LIST))
    tiles = list(first_tiles(listed["tiles"]))
    files, columns = _Files(), dict[str, str]()
    for tile in tiles:
        drawn = read_tile(manifest.uri, tile, "arrow")
        columns = {name: str(drawn.schema.field(name).type) for name in drawn.column_names if name not in ("x", "y")}
        files.add(tile["tile"], arrow_file(drawn))
        files.add(f"records/{tile['tile']}", arrow_file(_titles(read_tile(manifest.uri, tile, "records.arrow"))))
    sheets = []
    for number, (names, content) in enumerate(_sheets(manifest.uri, tiles)):
        files.add(f"sheets/{number}", content)
        sheets.append(names)
    head = {"map": _head(manifest, listed, tiles, columns), "files": files.places, "sheets": sheets}
    return _packed(head, files.data.getvalue())


def _head(
    manifest: Manifest, listed: Mapping[str, Any], tiles: Sequence[Mapping[str, Any]], columns: Mapping[str, str]
) -> dict[str, Any]:
    shown, whole = (sum(tile["points"] for tile in some) for some in (tiles, listed["tiles"]))
    if shown < whole:
        log.info("%s of the map's %s points are in the page: whole zooms, a fair sample.", f"{shown:,}", f"{whole:,}")
    return {
        **{name: listed[name] for name in ("square", "view", "rows")},
        "deepest": max((int(tile["tile"].split("-")[1]) for tile in tiles), default=0),
        "columns": dict(columns),
        "unreadable": unreadable(manifest.extra),
        "tiles": {tile["tile"]: tile["points"] for tile in tiles},
        "regions": [zoom["regions"] for zoom in storage.read_json(manifest.locate(REGIONS))],
        **({"shown": shown, "whole": whole} if shown < whole else {}),
    }


def _titles(records: pa.Table) -> pa.Table:
    """*Pure.* What people read of some records. Paths of this machine are nobody's concern: their last part stays."""
    rows = records.select(RECORD_COLUMNS).to_pylist()
    titles = [row["text"] or file_name(row) for row in rows]
    links = [row["uri"] if is_web_address(row["uri"] or "") else None for row in rows]
    ids = records[schema.RECORD_ID]
    return pa.table(
        {schema.RECORD_ID: ids, "title": pa.array(titles, pa.string()), "link": pa.array(links, pa.string())}
    )


def _sheets(uri: str, tiles: Sequence[Mapping[str, Any]]) -> Iterator[tuple[list[str], bytes]]:
    """*Worker.* (points, sheet of their pictures), a fair sample of coarse tiles first; what cannot be read is none."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        log.info("pictures are left out: pillow is missing; pip install pillow brings it.")
        return
    shown = islice(_thumbnails(uri, tiles), MOST_SHEETS * MOST_PICTURES)
    while part := list(islice(shown, MOST_PICTURES)):
        yield [name for name, _ in part], sheet_of([small for _, small in part])


def _thumbnails(uri: str, tiles: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """*Worker.* Points with the thumbnails that the step made of them; the originals may be gone, or far away."""
    if not any(tile.get("thumbnails") for tile in tiles):
        log.info("pictures are left out: the map '%s' has no thumbnails.", uri)
    for tile in tiles:
        found = enumerate(thumbnails_of(uri, tile))
        yield from ((f"{tile['tile']}.{row}", small) for row, small in found if small is not None)


def _packed(head: Mapping[str, Any], data: bytes) -> bytes:
    text = json.dumps(head).encode()
    start = len(text).to_bytes(4, "little") + text
    return gzip.compress(start + bytes(-len(start) % ALIGNED) + data, 6, mtime=0)
