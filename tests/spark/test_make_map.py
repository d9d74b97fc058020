"""make-map: the same map from any partitioning, and what is appended moves nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark.analysis.map.spec import MapSpec
from clip_spark.analysis.map.step import make_map, preview
from clip_spark.datasets.manifest import Manifest
from clip_spark.errors import InputError, OutputError
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings

pytestmark = pytest.mark.spark
PICTURES, TEXTS, MORE = 90, 40, 20


def no_spark() -> Any:
    raise AssertionError("no session is needed here")


def points(manifest: Manifest) -> pa.Table:
    """All points by kind and id."""
    table = pa.concat_tables([pq.read_table(uri) for uri in manifest.files("points")])
    return table.sort_by([("kind", "ascending"), ("record_id", "ascending")])


def tiles(manifest: Manifest) -> dict[str, bytes]:
    """The bytes of all tiles by name."""
    found = json.loads(Path(manifest.locate("tiles.json")).read_bytes())
    return {
        f"{tile['tile']}.{ending}": Path(f"{manifest.uri}/{tile['file']}.{ending}").read_bytes()
        for tile in found["tiles"]
        for ending in ("arrow", "records.arrow")
    }


def spec(folder: Path, name: str, **options: Any) -> MapSpec:
    given = {"embeddings": str(folder / "images"), "texts": str(folder / "texts"), "fit_rows": 60, "columns": ("n",)}
    return MapSpec(output=str(folder.parent / name), **{**given, **options})


def test_a_map_of_any_partitioning_that_grows_and_moves_nothing(spark: Any, tmp_path: Path) -> None:
    maps = []
    for name, shard_rows in (("one", 200), ("many", 25)):
        folder = tmp_path / name
        pictures, texts = unit_vectors(PICTURES, seed=1), unit_vectors(TEXTS, seed=2)
        write_embeddings(
            folder / "images", pictures, numbered(PICTURES, "picture"), modality="image", shard_rows=shard_rows
        )
        write_embeddings(folder / "texts", texts, numbered(TEXTS, "word"), shard_rows=shard_rows)
        maps.append(make_map(lambda: spark, spec(folder, f"map-{name}")))
    one, many = maps
    assert one.rows == many.rows == PICTURES + TEXTS and len(many.receipts) > len(one.receipts)
    assert points(one).equals(points(many)), "the same places to the bit"
    assert tiles(one) == tiles(many)
    assert Path(one.locate("regions.json")).read_bytes() == Path(many.locate("regions.json")).read_bytes()
    assert np.isfinite(points(one)["x"].to_numpy()).all() and points(one)["uri"].null_count == TEXTS
    assert all(Path(one.locate(name)).read_bytes()[:4] == b"\x89PNG" for name in ("map.png", "poster.png"))
    assert preview(one)[0].rows == [("image", PICTURES), ("text", TEXTS)]
    assert make_map(no_spark, spec(tmp_path / "one", "map-one")).created == one.created

    write_embeddings(tmp_path / "more", unit_vectors(MORE, seed=3), numbered(MORE, "another"), modality="image")
    more = spec(tmp_path / "one", "map-one", embeddings=str(tmp_path / "more"), texts="", append=True)
    grown = make_map(lambda: spark, more)
    before, after = points(one), points(grown)
    known = after.filter(pa.compute.is_in(after["record_id"], before["record_id"].combine_chunks()))
    assert after.num_rows == before.num_rows + MORE and known.equals(before), "nothing moves, no level changes"
    assert grown.extra["drift"]["far"]["image"] > 0.15 and grown.extra["drift"]["due"], "they are of other clusters"
    assert sum(tile["points"] for tile in json.loads(Path(grown.locate("tiles.json")).read_bytes())["tiles"]) == 150
    assert make_map(no_spark, spec(tmp_path / "one", "map-one")).created == grown.created, "its own sets are on it"

    with pytest.raises(OutputError, match="--append adds these"):
        make_map(no_spark, spec(tmp_path / "many", "map-many", embeddings=str(tmp_path / "more"), texts=""))
    write_embeddings(
        tmp_path / "again", unit_vectors(MORE, seed=3), numbered(MORE, "another"), modality="image", shard_rows=9
    )
    with pytest.raises(InputError, match="20 of these image records are on the map"):
        make_map(no_spark, spec(tmp_path / "one", "map-one", embeddings=str(tmp_path / "again"), texts="", append=True))


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    write_embeddings(tmp_path / "images", unit_vectors(5), numbered(5), modality="image")
    write_embeddings(tmp_path / "texts", unit_vectors(5), numbered(5))
    for options, sentence in (
        ({"texts": ""}, "holds 5 embeddings; a map needs at least 10 pictures"),
        ({"embeddings": str(tmp_path / "texts")}, "--embeddings needs those of images"),
        ({"texts": "", "append": True}, "there is none at"),
    ):
        with pytest.raises(InputError, match=sentence):
            make_map(no_spark, spec(tmp_path, "map", **options))
