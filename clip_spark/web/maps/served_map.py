"""*Server.* One open map as requests need it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from clip_spark import storage
from clip_spark.analysis.map.draw import read_tile
from clip_spark.analysis.map.frame import PICTURE, TEXT, Frame, open_frame
from clip_spark.analysis.map.shards import frame_of
from clip_spark.analysis.map.tiles import REGIONS, TILES_LIST
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.spec import fingerprint
from clip_spark.errors import InputError, ModelError, SpecError
from clip_spark.index.files.one_encoder import check_same_encoder
from clip_spark.search.resident import generation_of
from clip_spark.web.bodies import shown
from clip_spark.web.errors import NotFound
from clip_spark.web.latest import Latest
from clip_spark.web.maps.point_places import PointPlaces

if TYPE_CHECKING:
    from clip_spark.web.served import ServedIndex

LOOKED_AT = 16
"""Records of a map that are looked for in an index: if one is there, the map is of it."""
HELD_TILES, HELD_SHEETS = 32, 4
"""Tiles whose records stay in memory, a megabyte each; sheets of thumbnails as pixels, 16 MB each at most."""
POINT = re.compile(r"([a-z]+-\d{1,2}-\d{1,7}-\d{1,7})\.(\d{1,9})")


class Point(NamedTuple):
    """A point by its tile and its row in it; `image-3-5-2.17` in addresses."""

    tile: str
    row: int


class ServedMap:
    """A map under a name; never changed: a new generation of it is another one.

    Attributes:
        listed: content of tiles.json.
        regions: content of regions.json.
        homes: kind of point -> the name of the index that has its records; texts may have none.
        version: tells two generations apart, in addresses and ETags.
        sheets: of thumbnails, by tile and number (see sprites.py).
    """

    def __init__(self, name: str, manifest: Manifest, homes: Mapping[str, str]) -> None:
        self.name, self.manifest, self.homes = name, manifest, dict(homes)
        self.listed: dict[str, Any] = storage.read_json(manifest.locate(TILES_LIST))
        self.regions: list[Any] = storage.read_json(manifest.locate(REGIONS))
        self.tiles = {tile["tile"]: tile for tile in self.listed["tiles"]}
        self.version = version_of(manifest)
        self.frame: Frame = open_frame(frame_of(manifest))
        self.places = PointPlaces.read(manifest)
        self.columns = self._columns()
        self._records = Latest[str, pa.Table](HELD_TILES)
        self.sheets = Latest[str, Any](HELD_SHEETS)

    @staticmethod
    def open(name: str, uri: str, indices: Mapping[str, ServedIndex]) -> ServedMap:
        """Open a map beside the indices that are served.

        Raises:
            InputError: there is no map, or no index has its pictures.
            ModelError: the indices were built with another encoder.
        """
        manifest = read_manifest(uri, "map")
        return ServedMap(name, manifest, find_homes(name, manifest, indices))

    @property
    def summary(self) -> str:
        """One line for a person."""
        counts = " and ".join(f"{count:,} {kind}s" for kind, count in self.listed["rows"].items() if count)
        return f"{self.name}: map of {counts}, shown with index {', '.join(self.homes.values())}"

    def tile_bytes(self, name: str) -> bytes:
        """The places and columns of a tile's points, as an Arrow file; raises NotFound."""
        return storage.read_bytes(storage.join(self.manifest.uri, f"{self._tile(name)['file']}.arrow"))

    def records_of_tile(self, name: str) -> pa.Table:
        """record_id, text, uri, offset and size of a tile's points; raises NotFound."""
        found = self._records.get(name)
        if found is None:
            found = read_tile(self.manifest.uri, self._tile(name), "records.arrow")
            self._records.put(name, found)
        return found

    def records_of(self, points: Sequence[Point]) -> list[dict[str, Any]]:
        """What a map knows itself of some points: kind, record_id, text, uri, offset, size; raises NotFound."""
        for point in points:
            if point.row >= self._tile(point.tile)["points"]:
                raise NotFound(f"The tile '{point.tile}' has no row {point.row}.")
        found: dict[Point, dict[str, Any]] = {}
        for name in dict.fromkeys(point.tile for point in points):
            mine = [point for point in points if point.tile == name]
            rows = self.records_of_tile(name).take(pa.array([point.row for point in mine])).to_pylist()
            found.update((point, {"kind": kind_of(name), **row}) for point, row in zip(mine, rows, strict=True))
        return [found[point] for point in points]

    def place_of(self, vector: np.ndarray) -> tuple[float, float]:
        """Where a query lies, float32 (d,): where the map would put it, to the bit."""
        x, y = self.frame.locate(vector[None])[0][0].tolist()
        return x, y

    def _tile(self, name: str) -> dict[str, Any]:
        if name not in self.tiles:
            raise NotFound(f"The map '{self.name}' has no tile {shown(name)}.")
        return self.tiles[name]

    def _columns(self) -> dict[str, str]:
        first = next(iter(self.tiles), None)
        if first is None:
            return {}
        found = read_tile(self.manifest.uri, self.tiles[first], "arrow").schema
        return {field.name: str(field.type) for field in found if field.name not in ("x", "y")}


def find_homes(name: str, manifest: Manifest, indices: Mapping[str, ServedIndex]) -> dict[str, str]:
    """*Server.* Which index has the records of each kind of point.

    Raises:
        InputError: no index of pictures is served, or none that has those of the map.
        ModelError: it was built with another encoder.
    """
    pictures = [index for index in indices.values() if index.kind == PICTURE]
    if not pictures:
        raise InputError(
            f"The map '{manifest.uri}' is shown with the pictures of an index; give theirs as --index too."
        )
    refused, same = "", dict[str, list["ServedIndex"]]()
    for index in indices.values():
        try:
            check_same_encoder(
                manifest.extra["encoder"],
                index.searcher.info.encoder,
                f"those of index '{index.name}'",
                f"map '{name}'",
            )
            same.setdefault(index.kind, []).append(index)
        except ModelError as error:
            refused = refused or str(error)
    if PICTURE not in same:
        raise ModelError(refused)
    found = {kind: home for kind in same if (home := _home(manifest, kind, same[kind]))}
    if PICTURE not in found:
        names = ", ".join(index.name for index in same[PICTURE])
        raise InputError(
            f"The map '{manifest.uri}' shows other pictures than index {names}; serve the index of its embeddings."
        )
    return found


def _home(manifest: Manifest, kind: str, indices: Sequence[ServedIndex]) -> str:
    """The first index that has some of the records of a kind of point; empty if none has."""
    ids = _some_ids(manifest, kind)
    return next((index.name for index in indices if ids and any(index.records_of(ids))), "")


def _some_ids(manifest: Manifest, kind: str) -> list[str]:
    """Ids of some points of a kind, those that the first of its tiles shows first."""
    tiles = storage.read_json(manifest.locate(TILES_LIST))["tiles"]
    first = next((tile for tile in tiles if kind_of(tile["tile"]) == kind), None)
    if first is None:
        return []
    return read_tile(manifest.uri, first, "records.arrow")[schema.RECORD_ID].slice(0, LOOKED_AT).to_pylist()


def version_of(manifest: Manifest) -> str:
    """*Pure.* A short word for a generation of a map."""
    return fingerprint([*generation_of(vars(manifest)), manifest.place])[:12]


def kind_of(tile: str) -> str:
    """*Pure.* The kind of a tile's points: image or text."""
    return TEXT if tile.startswith(f"{TEXT}-") else PICTURE


def parse_points(given: str, most: int) -> list[Point]:
    """*Pure.* `image-3-5-2.17,image-0-0-0.4` as points; raises SpecError for anything else, or for too many."""
    names = [name for name in given.split(",") if name]
    if not 0 < len(names) <= most:
        raise SpecError(f"'points' names {len(names)} points; give 1 to {most}.")
    found = [POINT.fullmatch(name) for name in names]
    wrong = next((name for name, match in zip(names, found, strict=True) if match is None), None)
    if wrong is not None:
        raise SpecError(f"'points' has {shown(wrong)}; a point is named TILE.ROW, such as image-0-0-0.17.")
    return [Point(match[1], int(match[2])) for match in found if match]
