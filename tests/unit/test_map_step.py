"""make-map without Spark: killed and resumed, given texts later, exported; against one that nothing disturbed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from PIL import Image

from clip_spark.analysis.map import draw
from clip_spark.analysis.map.export import export_map
from clip_spark.analysis.map.export_spec import ExportMapSpec
from clip_spark.analysis.map.fitting import FitFrame
from clip_spark.analysis.map.naming import FindNearTexts
from clip_spark.analysis.map.points import PlacePoints
from clip_spark.analysis.map.sheets import SIDE, draw_sheets, thumbnails_of, trimmed
from clip_spark.analysis.map.spec import MapSpec
from clip_spark.analysis.map.sprites import CELL
from clip_spark.analysis.map.step import make_map
from clip_spark.analysis.map.tiles import WriteTiles
from clip_spark.analysis.publish.spec import PublishSpec
from clip_spark.analysis.publish.step import publish
from clip_spark.datasets.manifest import Manifest
from clip_spark.errors import InputError, SpecError
from clip_spark.index.build.build import build_index
from clip_spark.index.change.remove import remove_records
from clip_spark.index.specs import IndexSpec, RemoveSpec
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings
from tests.helpers_resumed import data_of, told
from tests.helpers_spark import in_this_process

PICTURES, TEXTS = 60, 30
FILES = ("tiles.json", "regions.json", "map.png", "poster.png")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in three shards, of which every third can be read, and texts in two."""
    folder = tmp_path_factory.mktemp("sets")
    names = []
    for number in range(PICTURES):
        names.append(str(folder / f"{number}.png"))
        if number % 3 == 0:
            Image.new("RGB", (90, 60), (4 * number, 0, 0)).save(names[-1])
    vectors = unit_vectors(PICTURES, seed=1)
    write_embeddings(folder / "images", vectors, names, modality="image", shard_rows=25)
    write_embeddings(folder / "texts", unit_vectors(TEXTS, seed=2), numbered(TEXTS, "word"), shard_rows=20)
    return folder


@pytest.fixture(scope="module")
def spark() -> Iterator[Callable[[], Any]]:
    """Drawings are small here: those of 2,800 pixels take most of a second each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "MAP_PIXELS", 280)
        patch.setattr(draw, "POSTER_PIXELS", 560)
        yield in_this_process(patch)


@pytest.fixture(scope="module")
def whole(sets: Path, spark: Any) -> Manifest:
    """A map that nothing disturbed."""
    return make_map(spark, spec(sets, sets / "whole"))


def spec(sets: Path, output: Path, **options: Any) -> MapSpec:
    given = {"embeddings": str(sets / "images"), "texts": str(sets / "texts"), "fit_rows": 40, "columns": ("n",)}
    return MapSpec(output=str(output), **{**given, **options})


def points(manifest: Manifest) -> pa.Table:
    return pa.concat_tables([pq.read_table(uri) for uri in manifest.files("points")])


def regions(manifest: Manifest) -> Any:
    return json.loads(Path(manifest.locate("regions.json")).read_bytes())


@pytest.mark.parametrize(
    ("task", "call"),
    [(FitFrame, 0), (PlacePoints, 2), (FindNearTexts, 1), (WriteTiles, 0), (draw.DrawMap, 0)],
    ids=["fit", "place", "name", "tiles", "draw"],
)
def test_a_map_that_was_killed_anywhere_becomes_the_one_that_was_not(
    sets: Path, whole: Manifest, spark: Any, monkeypatch: pytest.MonkeyPatch, task: Any, call: int
) -> None:
    output = sets / task.__name__
    do, calls = task.__call__, []

    def dies(self: Any, *given: Any) -> Any:
        calls.append(1)
        if len(calls) == call + 1:
            raise MemoryError("the machine is gone")
        return do(self, *given)

    with monkeypatch.context() as once, pytest.raises(MemoryError):
        once.setattr(task, "__call__", dies)
        make_map(spark, spec(sets, output))
    assert not (output / "manifest.json").exists()
    resumed = make_map(spark, spec(sets, output))
    assert data_of(resumed) == data_of(whole)
    assert told(resumed).replace(f"/{output.name}", "/whole") == told(whole)
    assert all(Path(whole.locate(name)).read_bytes() == Path(resumed.locate(name)).read_bytes() for name in FILES)


def test_texts_that_come_later_name_the_regions_and_move_nothing(
    sets: Path, whole: Manifest, tmp_path: Path, spark: Any
) -> None:
    first = make_map(spark, spec(sets, tmp_path / "map", texts=""))
    before = points(first)
    assert not any(region["name"] for zoom in regions(first) for region in zoom["regions"])
    grown = make_map(spark, spec(sets, tmp_path / "map"))
    after = points(grown)
    assert after.filter(pa.compute.equal(after["kind"], "image")).equals(before)
    named = regions(grown)
    assert all(region["name"].startswith("word ") for zoom in named for region in zoom["regions"])
    assert named == regions(whole), "the names that it would have had"
    write_embeddings(tmp_path / "other", unit_vectors(TEXTS, seed=9), numbered(TEXTS, "another"))
    more = spec(sets, tmp_path / "map", texts=str(tmp_path / "other"), append=True)
    assert regions(make_map(spark, more)) == named, "names stay"


def test_a_tile_has_thumbnails_of_its_first_pictures_in_their_order(whole: Manifest) -> None:
    tiles = {tile["tile"]: tile for tile in json.loads(Path(whole.locate("tiles.json")).read_bytes())["tiles"]}
    tile = tiles["image-0-0-0"]
    assert (tile["thumbnails"], tiles["text-0-0-0"]["thumbnails"]) == (PICTURES, 0)
    base = f"{whole.uri}/{tile['file']}"
    uris = pa.ipc.open_file(f"{base}.records.arrow").read_all()["uri"].to_pylist()
    cells = list(thumbnails_of(whole.uri, tile))
    for uri, cell in zip(uris, cells, strict=True):
        assert (cell is not None) == Path(uri).exists()
        if cell is not None:
            red, cell = 4 * int(Path(uri).stem), trimmed(cell)
            assert cell.width == CELL and abs(cell.height - 43) <= 1 and abs(cell.getpixel((30, 20))[0] - red) < 12


def test_more_pictures_than_a_sheet_holds_are_on_several(sets: Path, tmp_path: Path) -> None:
    sheets = draw_sheets([{"uri": str(sets / "0.png")}] * (SIDE * SIDE + 3))
    for number, data in enumerate(sheets):
        (tmp_path / f"tile.{number}.webp").write_bytes(data)
    cells = list(thumbnails_of(str(tmp_path), {"file": "tile", "thumbnails": SIDE * SIDE + 3}))
    assert len(sheets) == 2 and len(cells) == SIDE * SIDE + 3 and None not in cells
    assert draw_sheets([{"uri": "nowhere.png"}, {"uri": "https://example.org/a.png"}]) == []


def test_an_export_has_every_point_and_its_true_neighbours(sets: Path, tmp_path: Path, spark: Any) -> None:
    made = make_map(spark, spec(sets, tmp_path / "map", fit_rows=PICTURES))
    place = str(tmp_path / "map")
    assert export_map(ExportMapSpec(map=place, output=str(tmp_path / "points.csv"))) == PICTURES + TEXTS
    read = pa.csv.read_csv(tmp_path / "points.csv")
    assert read["record_id"].to_pylist() == points(made)["record_id"].to_pylist()
    assert np.allclose(read["x"].to_numpy(), points(made)["x"].to_numpy(), atol=1e-5)

    export_map(ExportMapSpec(map=place, output=str(tmp_path / "atlas.parquet"), pictures=True))
    found = pq.read_table(tmp_path / "atlas.parquet")
    assert found.select(points(made).column_names).equals(points(made))
    pictures, texts = unit_vectors(PICTURES, seed=1), unit_vectors(TEXTS, seed=2)
    cosines = np.concatenate([pictures, texts]) @ pictures.T
    np.fill_diagonal(cosines, -2)
    for row, near in enumerate(found["neighbors"].to_pylist()):
        best = np.argsort(-cosines[row])[: len(near["ids"])]
        assert len(near["ids"]) >= 14 and set(near["ids"]) == set(best.tolist())
        assert np.allclose(near["distances"], 1 - cosines[row, near["ids"]], atol=1e-5)
    images = found["image"].to_pylist()
    assert [image is not None for image in images] == [row < PICTURES and row % 3 == 0 for row in range(len(images))]


def test_a_publication_for_embedding_atlas_leaves_out_what_was_taken_down(
    sets: Path, tmp_path: Path, whole: Manifest
) -> None:
    index = IndexSpec(embeddings=(str(sets / "images"),), output=str(tmp_path / "index"))
    build_index(lambda: pytest.fail("no Spark"), index)
    ids = points(whole)["record_id"].to_pylist()
    gone = {ids[0], ids[30]}
    remove_records(lambda: pytest.fail("no Spark"), RemoveSpec(index=index.output, ids=tuple(gone)))
    out = str(tmp_path / "atlas")
    publish(PublishSpec(index=index.output, layout="embedding-atlas", map=whole.uri, output=out))
    found = pq.read_table(f"{out}/atlas.parquet")
    assert found["record_id"].to_pylist() == [name for name in ids if name not in gone]
    vectors = np.concatenate([unit_vectors(PICTURES, seed=1), unit_vectors(TEXTS, seed=2)])
    left = vectors[[row for row, name in enumerate(ids) if name not in gone]]
    for row, near in enumerate(found["neighbors"].to_pylist()):
        np.testing.assert_allclose(near["distances"], 1 - left[near["ids"]] @ left[row], atol=1e-5)


def test_an_export_says_what_it_cannot_do(sets: Path, tmp_path: Path, spark: Any) -> None:
    write_embeddings(tmp_path / "own", unit_vectors(20), numbered(20), modality="image")
    make_map(spark, spec(sets, tmp_path / "map", embeddings=str(tmp_path / "own"), texts=""))
    (tmp_path / "own").rename(tmp_path / "moved")
    with pytest.raises(InputError, match="read from the embeddings that the map was made of"):
        export_map(ExportMapSpec(map=str(tmp_path / "map"), output=str(tmp_path / "atlas.parquet")))
    assert not (tmp_path / "atlas.parquet").exists()
    assert export_map(ExportMapSpec(map=str(tmp_path / "map"), output=str(tmp_path / "points.csv"))) == 20
    for output, pictures in (("points.txt", False), ("points.csv", True)):
        with pytest.raises(SpecError, match="must end in|needs an --output"):
            ExportMapSpec(map="map", output=output, pictures=pictures)
