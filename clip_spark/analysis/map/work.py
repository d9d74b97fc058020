"""*Driver.* The stages of a map: fit, place, name, cut into tiles, draw, commit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from clip_spark import storage
from clip_spark.analysis.map.draw import DRAWN, DrawMap
from clip_spark.analysis.map.fitting import FitFrame, TakeSample
from clip_spark.analysis.map.frame import KINDS, frame_base, read_anchors, read_facts
from clip_spark.analysis.map.growth import names_of
from clip_spark.analysis.map.levels import Square
from clip_spark.analysis.map.listing import NAMES, listed_tiles, tiles_list
from clip_spark.analysis.map.measures import drift
from clip_spark.analysis.map.naming import FindNearTexts, merge, region_list, regions_of
from clip_spark.analysis.map.points import POINTS, PlacePoints
from clip_spark.analysis.map.shards import FRAME_SHARD, NamesShard, PointShard, TileShard
from clip_spark.analysis.map.spec import MapSpec
from clip_spark.analysis.map.tiles import REGIONS, TILES_LIST, SplitByTile, WriteTiles
from clip_spark.datasets.manifest import Manifest, file_of
from clip_spark.datasets.receipt import Receipt, sum_up
from clip_spark.datasets.run import Run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import collect, map_items, reduce_items, run_shards, spread

STEP = "make-map"


@dataclass(frozen=True)
class MapWork:
    """*Driver.* One run; each stage does what the ones before a kill have left.

    Attributes:
        get_spark: the session.
        spec: what was asked for.
        run: from `begin_run`.
        pictures: the manifests of their embeddings.
        columns: of the points.
        texts: shards of the texts that are named now, those that are on the map already among them.
    """

    get_spark: SessionSource
    spec: MapSpec
    run: Run
    pictures: tuple[Manifest, ...]
    columns: pa.Schema
    texts: list[PointShard]

    def done(self, points: list[PointShard], names: list[NamesShard], tiles: list[TileShard]) -> Manifest:
        """Do what is left of these shards, and make the map official."""
        self._fit(points)
        base, pending = self._base(), set(self.run.pending())
        if waiting := [shard for shard in points if shard.number in pending]:
            task = PlacePoints(self.run.output, self._plan, base, self.pictures[0].extra["dim"], self.columns)
            run_shards(self.get_spark(), STEP, waiting, task, rows=sum(shard.points for shard in waiting))
        for shard in (one for one in names if one.number in pending):
            self._name(base, shard)
        if any(tile.number in pending for tile in tiles):
            self._cut(base, tiles)
        return self._commit(base)

    @property
    def _plan(self) -> str:
        return self.run.plan.fingerprint

    @property
    def _kept(self) -> tuple[Receipt, ...]:
        return self.run.growth.kept if self.run.growth else ()

    @property
    def _uri(self) -> str:
        return self.run.head.uri if self.run.head else self.run.output

    def _fit(self, points: list[PointShard]) -> None:
        if FRAME_SHARD not in self.run.pending():
            return
        rows = {kind: sum(shard.points for shard in points if shard.kind == kind) for kind in KINDS}
        take = TakeSample(rows, self.spec.fit_rows, self.spec.seed, self.pictures[0].extra["dim"])
        plan = self.run.plan
        task = FitFrame(
            self.run.output, self._plan, self.spec.method, self.spec.fit_rows, self.spec.seed, rows, plan.shards
        )
        parts = spread(self.get_spark(), points).flatMap(take).repartition(1)
        collect(self.get_spark(), STEP, parts.mapPartitions(task), len(points) + 1)

    def _base(self) -> str:
        """URI of the frame without its endings: of the map that this run adds to, or its own."""
        if self._kept:
            return frame_base(self._uri, self._kept[FRAME_SHARD])
        return frame_base(self.run.output, self.run.receipts()[FRAME_SHARD])

    def _name(self, base: str, shard: NamesShard) -> None:
        square, (_, places) = Square(*read_facts(base)["square"]), read_anchors(base)
        near = None
        if self.texts:
            task = FindNearTexts(base, self.pictures[0].extra["dim"], sum(each.points for each in self.texts))
            near = reduce_items(self.get_spark(), STEP, self.texts, task, merge)
        (zooms,) = map_items(self.get_spark(), STEP, [base], regions_of)
        with ShardWriter(self.run.output, self._plan, shard.number, {}) as writer:
            writer.attach(NAMES, "json", json.dumps(region_list(square, zooms, places, near)).encode())
            writer.finish()

    def _receipts(self) -> list[tuple[str, Receipt]]:
        """All that the map will have, each with the URI that its paths begin with."""
        return [(self._uri, receipt) for receipt in self._kept] + [
            (self.run.output, receipt) for receipt in self.run.receipts()
        ]

    def _points(self) -> list[tuple[str, Receipt]]:
        """(URI of the points, receipt) of each shard with rows."""
        return [(storage.join(uri, file_of(r, POINTS)), r) for uri, r in self._receipts() if r.rows]

    def _cut(self, base: str, tiles: list[TileShard]) -> None:
        value, files = read_facts(base), [uri for uri, _ in self._points()]
        square = Square(*value["square"])
        task = WriteTiles(self.run.output, self._plan, square, value["seed"], tuple(tiles))
        split = spread(self.get_spark(), files).flatMap(SplitByTile(square, len(tiles)))
        parts = split.partitionBy(len(tiles), int).mapPartitionsWithIndex(task)
        collect(self.get_spark(), STEP, parts, len(files) + len(tiles))

    def _commit(self, base: str) -> Manifest:
        frame, receipts = read_facts(base), [receipt for _, receipt in self._points()]
        counters = sum_up(receipt.counters for receipt in receipts)
        rows = {kind: int(counters[f"rows_{kind}"]) for kind in KINDS}
        added = sum_up(receipt.counters for receipt in receipts if receipt.shard >= frame["shards"])
        names, (_, places) = storage.read_json(self._names()), read_anchors(base)
        tiles = listed_tiles(self.run)
        listed = tiles_list(frame, places, rows, tiles)
        storage.write_json(storage.join(self.run.output, TILES_LIST), listed)
        storage.write_json(storage.join(self.run.output, REGIONS), names)
        map_items(self.get_spark(), STEP, [self._uri], DrawMap(self.run.output, listed, names))
        extra = {
            "encoder": self.pictures[0].extra["encoder"],
            "dim": self.pictures[0].extra["dim"],
            "method": self.spec.method,
            "anchors": len(places),
            "rows": rows,
            "lost": self._lost(),
            "figures": frame["figures"],
            "drift": drift(added, frame["rows"], rows),
            "tiles": len(tiles),
        }
        return self.run.commit(extra, partial(_with_map, extra), beside=(TILES_LIST, REGIONS, *DRAWN))

    def _lost(self) -> dict[str, dict[str, int]]:
        """What became of pictures that are not on the map: URI of their embeddings -> reason -> how many."""
        before = self.run.grown_from.extra.get("lost", {}) if self.run.grown_from else {}
        return {**before, **{one.uri: one.rejects for one in self.pictures}}

    def _names(self) -> str:
        found = names_of([receipt for _, receipt in self._receipts()])
        uri = next(uri for uri, receipt in self._receipts() if receipt.shard == found.shard)
        return storage.join(uri, file_of(found, NAMES))


def _with_map(extra: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    """*Pure.* A report that says how good the map is."""
    return {**report, **{name: extra[name] for name in ("rows", "anchors", "tiles", "figures", "drift")}}
