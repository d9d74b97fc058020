"""*Driver.* make-map: pictures and texts on one plane.

<output>/frame/00000.*               anchors and all that placing needs (frame.py)
<output>/names/00001.json            regions and their names
<output>/points/00002.parquet ...    x, y, record_id, kind, level; one file for each shard of embeddings
<output>/tiles/00012.*               the same for drawing (tiles.py)
<output>/tiles.json, regions.json    what a page reads first
<output>/map.png, poster.png         for people
"""

from __future__ import annotations

from functools import partial
from typing import Any

from clip_spark import storage
from clip_spark.analysis.map.fit import FEWEST, check_method
from clip_spark.analysis.map.frame import PICTURE, TEXT
from clip_spark.analysis.map.growth import check_there, grow_map, sources_of
from clip_spark.analysis.map.html_page import write_page
from clip_spark.analysis.map.inputs import MapInputs, inputs_of
from clip_spark.analysis.map.points import points_schema
from clip_spark.analysis.map.shards import (
    FIRST_POINTS,
    NAMES_SHARD,
    NamesShard,
    PointShard,
    TileShard,
    tile_shards,
)
from clip_spark.analysis.map.spec import MapSpec
from clip_spark.analysis.map.tiles import REGIONS
from clip_spark.analysis.map.work import MapWork
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.sources import write_sources
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError
from clip_spark.runtime.session import SessionSource
from clip_spark.runtime.tasks import read_on_executors


def make_map(get_spark: SessionSource, spec: MapSpec) -> Manifest:
    """*Driver.* Make a map, or place on it what its embeddings have got since; and write its page, if one is wanted.

    Raises:
        InputError: the embeddings are of the other kind, or too few; what fits is not installed.
        ModelError: pictures and texts were embedded by different encoders.
        SpecError: the records have no such column.
    """
    manifest = _made(get_spark, spec)
    if spec.html:
        write_page(manifest, spec.html)
    return manifest


def _made(get_spark: SessionSource, spec: MapSpec) -> Manifest:
    """*Driver.* The finished map."""
    given = _given(spec)
    points = given.shards()
    rows = sum(shard.points for shard in points)
    tiles = tile_shards(rows, FIRST_POINTS + len(points))
    columns = points_schema(points, spec)
    plan = Plan.of("map", spec, given.as_inputs(), FIRST_POINTS + len(points) + len(tiles))
    grow = partial(grow_map, points, spec.append)
    run = begin_run(spec.output, plan, overwrite=spec.overwrite, read=read_on_executors(get_spark), grow=grow)
    if run.manifest is not None:
        return run.manifest
    if run.growth is None:
        write_sources(run.output, sources_of(points))
    items = run.growth.items if run.growth else (NamesShard(NAMES_SHARD), *points, *tiles)
    texts = [shard for shard in points if shard.kind == TEXT]
    return MapWork(get_spark, spec, run, given.pictures, columns, texts).done(
        [item for item in items if isinstance(item, PointShard)],
        [item for item in items if isinstance(item, NamesShard)],
        [item for item in items if isinstance(item, TileShard)],
    )


def _given(spec: MapSpec) -> MapInputs:
    """*Driver.* The sets of the map: enough pictures, and the texts if there are any."""
    if spec.append:
        check_there(spec.output)
    else:
        check_method(spec.method)
    pictures = read_manifest(spec.embeddings, "embeddings") if spec.embeddings else None
    texts = read_manifest(spec.texts, "embeddings") if spec.texts else None
    indices = [read_manifest(uri, "index") for uri in spec.index]
    given = inputs_of({PICTURE: pictures, TEXT: texts}, indices)
    count = sum(one.rows for one in given.pictures)
    if count < FEWEST and not spec.append:
        uri = given.pictures[0].uri
        raise InputError(f"'{uri}' holds {count} embeddings; a map needs at least {FEWEST} pictures.")
    return given


def preview(manifest: Manifest) -> list[Table]:
    """*Driver.* What is on the map, how good it is as far as this set can tell, and the names of its regions."""
    extra = manifest.extra
    rows = [(kind, count) for kind, count in extra["rows"].items() if count]
    tables = [
        Table("points", ("kind", "points"), rows),
        Table("how good the map is", ("what", "value"), _figures(extra)),
    ]
    for each in storage.read_json(manifest.locate(REGIONS))[:2]:
        named = [(r["name"], ", ".join(r["also"]), r["share"]) for r in each["regions"]]
        tables.append(Table(f"regions at zoom {each['zoom']}", ("name", "also", "share of pictures"), named))
    return tables


def _figures(extra: dict[str, Any]) -> list[tuple[str, Any]]:
    found = extra["figures"]
    rows: list[tuple[str, Any]] = [
        ("nearest neighbours that are near on the map, of fitted pictures", found["recall_fitted"]),
        ("the same of pictures that were placed (goal: 0.9 of it)", found["recall_placed"]),
    ]
    if "best_text_near" in found:
        rows.append(("pictures with their best text among the nearest 1 % on the map", found["best_text_near"]))
    for kind, share in extra["drift"]["far"].items():
        if extra["rows"][kind]:
            rows.append((f"{kind}s added since the fit that are far from all it knew (usual: 0.05)", share))
    if extra["drift"]["due"]:
        rows.append(("a new fit is due", "make-map ... --overwrite"))
    return rows
