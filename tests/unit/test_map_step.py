"""make-map without Spark: killed and resumed, given texts later, exported; against one that nothing disturbed."""

from __future__ import annotations

import dataclasses
import json
import shutil
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


@pytest.fixture
def indexed(sets: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Indices of the pictures (or of other sets) and of the texts, from which some are taken down; gives their URIs."""

    def build(gone: tuple[str, ...] = (), images: tuple[Path, ...] = (sets / "images",)) -> list[str]:
        uris = []
        for name, used in (("image-index", images), ("text-index", (sets / "texts",))):
            given = IndexSpec(embeddings=tuple(map(str, used)), output=str(tmp_path / name))
            uris.append(build_index(lambda: pytest.fail("no Spark"), given).uri)
            if gone:
                remove_records(lambda: pytest.fail("no Spark"), RemoveSpec(index=uris[-1], ids=gone))
        return uris

    return build


def by_index(index: list[str], output: Path, **options: Any) -> MapSpec:
    return MapSpec(index=tuple(index), output=str(output), fit_rows=40, columns=("n",), **options)


def test_indices_stand_for_what_they_were_built_from(
    sets: Path, whole: Manifest, tmp_path: Path, spark: Any, indexed: Any
) -> None:
    index = indexed()
    assert points(make_map(spark, by_index(index, tmp_path / "map"))).equals(points(whole))
    with_texts = by_index(index[:1], tmp_path / "mixed", texts=str(sets / "texts"))
    assert points(make_map(spark, with_texts)).equals(points(whole))
    same = make_map(spark, spec(sets, tmp_path / "map"))
    assert same.place == "", "the same sets named themselves are the same map"


def test_what_was_taken_down_is_on_no_map_of_its_index(
    sets: Path, whole: Manifest, tmp_path: Path, spark: Any, indexed: Any
) -> None:
    ids = points(whole)["record_id"].to_pylist()
    gone = (ids[0], ids[30], ids[PICTURES + 3])
    made = make_map(spark, by_index(indexed(gone), tmp_path / "map"))
    left = points(made)["record_id"].to_pylist()
    assert left == [name for name in ids if name not in gone] and made.rows == len(left)
    anchors = pq.read_table(made.locate("frame/00000.parquet"))["record_id"].to_pylist()
    assert len(anchors) == 40 and not set(anchors) & set(gone)
    names = {name for zoom in regions(made) for region in zoom["regions"] for name in (region["name"], *region["also"])}
    assert names and "word 3" not in names
    export_map(ExportMapSpec(map=made.uri, output=str(tmp_path / "atlas.parquet")))
    found = pq.read_table(tmp_path / "atlas.parquet")
    vectors = np.concatenate([unit_vectors(PICTURES, seed=1), unit_vectors(TEXTS, seed=2)])
    kept = vectors[[row for row, name in enumerate(ids) if name not in gone]]
    assert found["record_id"].to_pylist() == left
    for row, near in enumerate(found["neighbors"].to_pylist()):
        np.testing.assert_allclose(near["distances"], 1 - kept[near["ids"]] @ kept[row], atol=1e-5)


def test_a_takedown_after_the_map_takes_points_away_and_moves_nothing(
    whole: Manifest, tmp_path: Path, spark: Any, indexed: Any
) -> None:
    index = indexed()
    first = make_map(spark, by_index(index, tmp_path / "map"))
    before = points(first)
    gone = tuple(before["record_id"].to_pylist()[number] for number in (1, 2, 40))
    remove_records(lambda: pytest.fail("no Spark"), RemoveSpec(index=index[0], ids=gone))
    after = make_map(spark, by_index(index, tmp_path / "map"))
    expected = before.filter(pa.compute.invert(pa.compute.is_in(before["record_id"], pa.array(gone))))
    order = [("kind", "ascending"), ("record_id", "ascending")]
    assert points(after).sort_by(order).equals(expected.sort_by(order))
    assert after.news == "3 vanished, taken out"
    assert sum(tile["points"] for tile in json.loads(Path(after.locate("tiles.json")).read_bytes())["tiles"]) == 87
    assert make_map(spark, by_index(index, tmp_path / "map")).created == after.created


def test_a_set_that_was_appended_to_the_index_comes_to_its_map(
    sets: Path, tmp_path: Path, spark: Any, indexed: Any
) -> None:
    shared = points(make_map(spark, by_index(indexed(), tmp_path / "map")))
    more = [*numbered(10, "more"), "shared"]
    write_embeddings(tmp_path / "more", unit_vectors(11, seed=5), more, modality="image")
    write_embeddings(tmp_path / "third", unit_vectors(3, seed=6), [*numbered(2, "third"), "shared"], modality="image")
    appended = IndexSpec(embeddings=(str(tmp_path / "more"),), output=str(tmp_path / "image-index"), append=True)
    build_index(lambda: pytest.fail("no Spark"), appended)
    build_index(lambda: pytest.fail("no Spark"), dataclasses.replace(appended, embeddings=(str(tmp_path / "third"),)))
    grown = points(
        make_map(spark, by_index([str(tmp_path / "image-index"), str(tmp_path / "text-index")], tmp_path / "map"))
    )
    assert grown.num_rows == shared.num_rows + 13, "a record that two sets have is one point"
    assert grown.filter(pa.compute.is_in(grown["record_id"], shared["record_id"].combine_chunks())).equals(shared)


def test_indices_that_cannot_stand_for_a_map_are_one_sentence(
    sets: Path, tmp_path: Path, spark: Any, indexed: Any
) -> None:
    write_embeddings(tmp_path / "own", unit_vectors(20), numbered(20), modality="image")
    index = indexed(images=(tmp_path / "own",))
    for options, sentence in (
        ({"index": (index[1],)}, "A map needs pictures"),
        ({}, "A map needs pictures"),
        ({"index": (index[0],), "embeddings": str(sets / "images")}, "and --embeddings names others; give one"),
        ({"index": (index[0], index[0])}, "two indices of images"),
    ):
        with pytest.raises(SpecError, match=sentence):
            make_map(spark, MapSpec(output=str(tmp_path / "map"), **options))
    shutil.rmtree(tmp_path / "own")
    write_embeddings(tmp_path / "own", unit_vectors(21, seed=4), numbered(21), modality="image")
    with pytest.raises(InputError, match="has not any more; bring the index up to date"):
        make_map(spark, by_index(index, tmp_path / "map"))
