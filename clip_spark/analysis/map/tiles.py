"""*Worker.* Tiles of a map: the points that appear at one zoom in one square, and the records behind them.

<map>/tiles/00012.image-3-5-2.arrow          x, y: where in the square, 0 to 65535; and the columns of --columns
<map>/tiles/00012.image-3-5-2.records.arrow  record_id, text, uri, offset, size of the same points in the same order
<map>/tiles/00012.image-3-5-2.0.webp         thumbnails of the first of them (sheets.py)
<map>/tiles/00012.json                       the tiles of the shard with their points and bytes

The first two are Arrow IPC files without compression, with one record batch. Points lie by hash: the first of a
tile are a fair sample of it.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.analysis.map.frame import KINDS, PICTURE
from clip_spark.analysis.map.levels import Square, keys
from clip_spark.analysis.map.points import FIXED
from clip_spark.analysis.map.sample import hashes
from clip_spark.analysis.map.shards import TileShard
from clip_spark.analysis.map.sheets import draw_sheets, rows_with_thumbnails
from clip_spark.datasets import schema
from clip_spark.datasets.arrow_stream import to_stream
from clip_spark.datasets.receipt import has_receipt
from clip_spark.datasets.shards import ShardWriter

TILES = "tiles"
TILES_LIST, REGIONS = "tiles.json", "regions.json"
"""What a page reads first."""
RECORD_COLUMNS = (schema.RECORD_ID, "text", "uri", "offset", "size")


@dataclass(frozen=True, order=True)
class Tile:
    """One square of one kind of point."""

    kind: str
    zoom: int
    column: int
    row: int

    @property
    def name(self) -> str:
        """*Pure.* `image-3-5-2`."""
        return f"{self.kind}-{self.zoom}-{self.column}-{self.row}"

    def group(self, groups: int) -> int:
        """*Pure.* Which task writes it."""
        return zlib.crc32(self.name.encode()) % groups


@dataclass(frozen=True)
class SplitByTile:
    """*Worker.* The points of one file by tile; picklable.

    Attributes:
        square: of zoom 0.
        groups: of tiles; parts are keyed by the group of their tile.
    """

    square: Square
    groups: int

    def __call__(self, uri: str) -> Iterator[tuple[int, tuple[Tile, bytes]]]:
        """(group, (tile, its points as an Arrow stream)) of one points file."""
        with storage.open_read(uri) as stream:
            table = pq.read_table(stream)
        for tile, rows in tiles_of(table, self.square):
            yield tile.group(self.groups), (tile, to_stream(table.take(pa.array(rows))))


def tiles_of(table: pa.Table, square: Square) -> Iterator[tuple[Tile, np.ndarray]]:
    """*Pure.* Each tile with its rows (int64) in a table of points."""
    places, levels = places_of(table), table["level"].to_numpy()
    for kind in KINDS:
        of_kind = pc.equal(table["kind"], kind).to_numpy().astype(bool)
        for zoom in np.unique(levels[of_kind]).tolist():
            rows = np.flatnonzero(of_kind & (levels == zoom))
            cells = square.cells(places[rows], zoom)
            of = keys(cells)
            order = np.argsort(of, kind="stable")
            for part in np.split(order, np.flatnonzero(np.diff(of[order])) + 1):
                column, row = cells[part[0]].tolist()
                yield Tile(kind, zoom, column, row), rows[part]


def places_of(table: pa.Table) -> np.ndarray:
    """*Pure.* float32 (n, 2)."""
    return np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)


@dataclass(frozen=True)
class WriteTiles:
    """*Worker.* Writes groups of tiles; picklable."""

    output: str
    plan: str
    square: Square
    seed: int
    shards: Sequence[TileShard]

    def __call__(self, group: int, parts: Iterable[tuple[int, tuple[Tile, bytes]]]) -> Iterator[int]:
        """Write the tiles of one group, unless a task has done so."""
        shard = self.shards[group]
        if has_receipt(self.output, shard.number):
            return
        by_tile: dict[Tile, list[bytes]] = {}
        for _, (tile, data) in parts:
            by_tile.setdefault(tile, []).append(data)
        with ShardWriter(self.output, self.plan, shard.number, {}) as writer, writer.watch("tiles"):
            listed = [self._write(writer, tile, by_tile.pop(tile)) for tile in sorted(by_tile)]
            writer.attach(TILES, "json", json.dumps(listed).encode())
            writer.counters["tiles"] += len(listed)
            writer.finish()
        yield len(listed)

    def _write(self, writer: ShardWriter, tile: Tile, parts: list[bytes]) -> dict[str, Any]:
        points = by_hash(pa.concat_tables([_table(part) for part in parts]), self.seed)
        inside = self.square.inside(places_of(points), tile.zoom)
        own = [name for name in points.column_names if name not in FIXED.names]
        drawn = pa.table({"x": inside[:, 0], "y": inside[:, 1], **{name: points[name] for name in own}})
        sizes = []
        for ending, table in (("arrow", drawn), ("records.arrow", points.select(RECORD_COLUMNS))):
            data = arrow_file(table)
            writer.attach(TILES, f"{tile.name}.{ending}", data)
            sizes.append(len(data))
        listed = {"tile": tile.name, "points": points.num_rows, "bytes": sizes[0], "record_bytes": sizes[1]}
        return {**listed, "thumbnails": self._draw(writer, tile, points) if tile.kind == PICTURE else 0}

    def _draw(self, writer: ShardWriter, tile: Tile, points: pa.Table) -> int:
        """Write the sheets of a tile; returns how many of its rows, from the first on, have a cell."""
        first = points.select(RECORD_COLUMNS).slice(0, rows_with_thumbnails(tile.zoom)).to_pylist()
        with writer.watch("thumbnails"):
            sheets = draw_sheets(first)
        for number, data in enumerate(sheets):
            writer.attach(TILES, f"{tile.name}.{number}.webp", data)
        return len(first) if sheets else 0


def by_hash(points: pa.Table, seed: int) -> pa.Table:
    """*Pure.* Points in the order of their hashes; ids decide between equals."""
    ids = points[schema.RECORD_ID]
    order = np.lexsort((np.asarray(ids.to_pylist(), str), hashes(ids, seed)))
    return points.take(pa.array(order))


def arrow_file(table: pa.Table) -> bytes:
    """*Pure.* A table as an Arrow IPC file of one record batch."""
    data = io.BytesIO()
    with pa.ipc.new_file(data, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return data.getvalue()


def _table(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()
