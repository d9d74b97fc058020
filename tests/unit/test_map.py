"""The pure parts of make-map, each against an oracle: samples, places, levels, regions, names, boxes, drift."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from clip_spark.analysis.map import fit as fit_module
from clip_spark.analysis.map.boxes import Boxes, around, to_pixels
from clip_spark.analysis.map.fit import TSNE, UMAP, fit, graph_size
from clip_spark.analysis.map.levels import DEEPEST, TILE_POINTS, Levels, Square, make_levels
from clip_spark.analysis.map.measures import drift, neighbour_recall, share_within
from clip_spark.analysis.map.names import best_names
from clip_spark.analysis.map.neighbours import build_lists, graph, nearest
from clip_spark.analysis.map.place import place
from clip_spark.analysis.map.regions import CELLS, Regions, blurred, find_regions, put_together
from clip_spark.analysis.map.repulsion import Repulsion
from clip_spark.analysis.map.sample import hashes, share_to_take, smallest
from clip_spark.analysis.map.tiles import Tile, arrow_file, by_hash, tiles_of
from tests.helpers_embeddings import unit_vectors

RANDOM = np.random.default_rng(7)


def clustered(rows: int) -> np.ndarray:
    """float32 (rows, 2) in ten clusters of very different densities."""
    centres, widths = RANDOM.uniform(-50, 50, (10, 2)), 2.0 ** np.arange(-5, 5)
    of = RANDOM.integers(0, 10, rows)
    return (centres[of] + RANDOM.normal(size=(rows, 2)) * widths[of, None]).astype(np.float32)


@given(st.lists(st.integers(0, 299), max_size=4), st.integers(1, 40))
def test_any_split_of_the_rows_gives_the_same_sample(cuts: list[int], wanted: int) -> None:
    ids = [f"record {number}" for number in range(300)]
    whole = {ids[row] for row in smallest(hashes(pa.array(ids), 5), ids, wanted)}
    bounds, kept = sorted({0, *cuts, 300}), []
    for start, end in zip(bounds, bounds[1:], strict=False):
        found = hashes(pa.array(ids[start:end]), 5)
        kept += [(h, ids[start + row]) for row, h in enumerate(found) if h < share_to_take(300, wanted)]
    names = [name for _, name in kept]
    assert {names[row] for row in smallest(np.array([h for h, _ in kept]), names, wanted)} == whole


def test_another_seed_draws_another_sample() -> None:
    ids = [str(number) for number in range(1000)]
    first, second = (set(smallest(hashes(pa.array(ids), seed), ids, 100).tolist()) for seed in (0, 1))
    assert len(first & second) < 30


def test_a_place_is_the_mode_and_no_place_between() -> None:
    places = np.array([[[0, 0], [0.1, 0], [0, 0.1], [10, 10], [10, 0]]], np.float32)
    x, y = place(np.array([[0.9, 0.89, 0.88, 0.9, 0.5]], np.float32), places, 1.0)[0]
    assert abs(x) < 0.2 and abs(y) < 0.2


def test_a_gap_between_texts_and_pictures_moves_no_place() -> None:
    scores, places = RANDOM.uniform(0.5, 1, (50, 15)), RANDOM.normal(size=(50, 15, 2)).astype(np.float32)
    assert np.allclose(place(scores, places, 0.7), place(scores * 0.1 + 0.02, places, 0.7), atol=1e-5)


def test_places_do_not_depend_on_the_batch() -> None:
    scores = RANDOM.uniform(size=(100, 15)).astype(np.float32)
    places = RANDOM.normal(size=(100, 15, 2)).astype(np.float32)
    alone = np.concatenate([place(scores[i : i + 1], places[i : i + 1], 0.7) for i in range(100)])
    assert place(scores, places, 0.7).tobytes() == alone.tobytes()


@pytest.mark.parametrize("rows", [300, 2500])
def test_neighbours_are_the_nearest_and_do_not_depend_on_the_batch(rows: int) -> None:
    vectors, queries = unit_vectors(rows), unit_vectors(90, seed=4)
    index = build_lists(vectors, 0)
    scores, numbers = nearest(index, queries, 15)
    alone = [nearest(index, queries[i : i + 1], 15) for i in range(len(queries))]
    assert scores.tobytes() == np.concatenate([s for s, _ in alone]).tobytes()
    assert (numbers == np.concatenate([n for _, n in alone])).all()
    true = np.argsort(-(queries @ vectors.T), axis=1)[:, :15]
    found = np.mean([len(np.intersect1d(a, b)) / 15 for a, b in zip(numbers, true, strict=True)])
    assert found == 1 if rows == 300 else found > 0.8
    assert (graph(index, vectors, 20)[1] != np.arange(rows)[:, None]).all()


def test_tiles_have_about_as_many_points_each_however_dense_they_lie() -> None:
    places = clustered(200_000)
    square = Square.around(places)
    levels = make_levels(square, places[:20_000], len(places))
    hash_of = hashes(pa.array([str(number) for number in range(len(places))]), 0)
    found = levels.of(square, places, hash_of)
    assert found.max() < DEEPEST
    for zoom in range(found.max() + 1):
        cells = square.cells(places[found == zoom], zoom)
        assert np.unique(cells, axis=0, return_counts=True)[1].max() < 1.3 * TILE_POINTS
    some = RANDOM.integers(0, len(places), 500)
    assert (levels.of(square, places[some], hash_of[some]) == found[some]).all(), "a point needs no other"
    assert (Levels.from_json(levels.to_json()).of(square, places[some], hash_of[some]) == found[some]).all()


def test_the_points_of_all_tiles_are_all_points_where_they_were() -> None:
    places = clustered(500)
    table = pa.table(
        {
            "record_id": [f"{number:04d}" for number in range(500)],
            "kind": ["image", "text"] * 250,
            "x": places[:, 0],
            "y": places[:, 1],
            "level": pa.array(RANDOM.integers(0, 5, 500), pa.uint8()),
        }
    )
    square, seen = Square.around(places), []
    for tile, rows in tiles_of(table, square):
        part = by_hash(table.take(pa.array(rows)), 0)
        at = np.stack([part["x"].to_numpy(), part["y"].to_numpy()], axis=1)
        share = (np.array([tile.column, tile.row]) + square.inside(at, tile.zoom) / 65536) / (1 << tile.zoom)
        assert np.abs(np.array([square.x, square.y]) + share * square.side - at).max() < square.side / 60_000
        assert set(part["kind"].to_pylist()) == {tile.kind}
        assert pa.ipc.open_file(arrow_file(part)).num_record_batches == 1
        seen += part["record_id"].to_pylist()
    assert sorted(seen) == table["record_id"].to_pylist()
    assert Tile("text", 3, 5, 2).name == "text-3-5-2"


def test_a_blur_equals_the_sum_of_bells() -> None:
    counts = np.zeros((40, 40))
    counts[20, 20], counts[5, 30] = 3, 1
    grid = np.stack(np.meshgrid(np.arange(40), np.arange(40), indexing="ij"), axis=2)
    bells = sum(
        mass * np.exp(-((grid - at) ** 2).sum(axis=2) / (2 * 1.5**2)) for mass, at in ((3, (20, 20)), (1, (5, 30)))
    )
    assert np.allclose(blurred(counts, 1.5), bells / bells.sum() * 4, atol=1e-4)


def test_every_point_has_a_region_and_clusters_have_their_own() -> None:
    of = np.repeat(np.arange(5), [400, 300, 200, 100, 50])
    centres = np.array([[0, 0], [40, 0], [0, 40], [40, 40], [20, 20]])
    places = (centres[of] + RANDOM.normal(size=(len(of), 2))).astype(np.float32)
    square = Square.around(places)
    zooms = find_regions(square, places, unit_vectors(5)[of])
    assert [len(regions.peaks) for regions in zooms] == sorted({len(regions.peaks) for regions in zooms})
    first = zooms[0].of(square, places)
    assert len(zooms[0].peaks) >= 5 and first.min() >= 0
    assert all(np.bincount(first[of == one]).max() > 0.9 * (of == one).sum() for one in range(5))


def test_coarse_regions_are_fine_ones_that_are_alike() -> None:
    """Twenty-four clusters in a ring, of which each eight neighbours, one kind, are nearly the same vector."""
    of = np.repeat(np.arange(24), 60)
    angle = of * 2 * np.pi / 24
    places = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 30 + RANDOM.normal(size=(len(of), 2)) * 0.5
    kinds = unit_vectors(3)[of // 8] + 0.1 * unit_vectors(24, seed=5)[of]
    square = Square.around(places.astype(np.float32))
    zooms = find_regions(square, places.astype(np.float32), kinds.astype(np.float32))
    assert [len(one.peaks) for one in zooms][:2] == [6, 16]
    coarse, middle = (one.of(square, places.astype(np.float32)) for one in zooms[:2])
    for one in range(6):
        assert len(set(of[coarse == one] // 8)) == 1, "a region is of one kind"
    assert all(len(set(coarse[middle == one])) == 1 for one in range(16)), "regions lie in those of the zoom before"
    islands = Regions(np.full((CELLS, CELLS), -1, np.int32), np.array([[9, 9], [90, 90], [200, 9]]))
    for number, (column, row) in enumerate(islands.peaks):
        islands.of_cell[column, row] = number
    (two,) = put_together(islands, islands.peaks, np.array([[0, 1], [1, 0], [0.9, 0]], np.float32), [2])
    assert two.of_cell[90, 90] == two.of_cell[200, 9] == 0 != two.of_cell[9, 9] and two.of_cell[0, 0] == -1


def test_a_region_is_named_by_what_its_pictures_share_and_others_lack() -> None:
    texts = ["thing", "dog", "cat", "dogs and cats", "a dog"]
    near = np.array([[0, 1, 4]] * 9 + [[0, 1, 3]] + [[0, 2, 3]] * 10)
    names = best_names(np.repeat(np.array([0, 1], np.int32), 10), near, texts)
    assert [[texts[number] for number in each[:2]] for each in names] == [
        ["dog", "dogs and cats"],
        ["cat", "dogs and cats"],
    ]
    nearer = best_names(np.repeat(np.array([0, 1], np.int32), 10), np.array([[1, 3]] * 10 + [[2, 0]] * 10), texts)
    assert [texts[each[0]] for each in nearer] == ["dog", "cat"], "the nearest counts most"


def test_a_name_that_only_adds_to_another_gives_way_to_it() -> None:
    texts = ["person with", "person", "with", "a red hat"]
    near = np.array([[0, 1, 2]] * 8 + [[0, 1, 3]] * 2 + [[3, 2, 2]] * 10)
    names = best_names(np.repeat(np.array([0, 1], np.int32), 10), near, texts)
    assert texts[names[0][0]] == "person", "nearly as many pictures have it among their nearest"
    assert texts[names[1][0]] == "a red hat"


def test_between_equal_names_the_order_of_texts_does_not_decide() -> None:
    for texts in (["oak", "ash"], ["ash", "oak"]):
        names = best_names(np.array([0, 0, 1], np.int32), np.array([[0, 1], [1, 0], [-1, -1]]), texts)
        assert texts[names[0][0]] == "ash"


def test_boxes_never_overlap() -> None:
    boxes = Boxes(500)
    for x, y, width, height in RANDOM.uniform((0, 0, 5, 5), (500, 500, 90, 40), (400, 4)):
        boxes.take(around(x, y, width, height))
    taken = boxes.taken
    assert len(taken) > 20
    for number, one in enumerate(taken):
        assert min(one) >= 0 and max(one) <= 500
        for other in taken[:number]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_a_drawing_shows_the_view_with_y_up() -> None:
    corners = to_pixels(np.array([[0, 0], [10, 10]]), [0, 0, 10, 10], 100, margin=0.1)
    assert np.allclose(corners, [[10, 90], [90, 10]])


def test_measures_equal_what_they_say() -> None:
    places = np.arange(20, dtype=np.float32)[:, None] * np.array([1, 0], np.float32)
    assert neighbour_recall(places[:2], np.array([[1, 2], [0, 19]]), places) == 0.75
    texts = np.array([[float(number), 0] for number in range(1000)])
    assert share_within(texts[[5, 900]], np.array([[5.2, 0], [5, 0]]), texts) == 0.5


@pytest.mark.parametrize(
    ("far", "rows", "due"), [(10, 1000, False), (40, 1000, True), (10, 5000, True)], ids=["fits", "far", "grown"]
)
def test_a_new_fit_is_due_where_much_is_far_or_much_has_come(far: int, rows: int, due: bool) -> None:
    found = drift({"placed_image": 200, "far_image": far}, {"image": 1000, "text": 0}, {"image": rows, "text": 0})
    assert found["due"] == due and found["far"]["image"] == far / 200


def pushed(places: np.ndarray) -> tuple[np.ndarray, float]:
    """Sums of forces over all pairs, one by one: the oracle of Repulsion."""
    ways = places[:, None] - places
    q = 1 / (1 + (ways**2).sum(axis=2))
    return (q[:, :, None] ** 2 * ways).sum(axis=1), q.sum() - len(places)


@pytest.mark.parametrize("spread", [1e-4, 1.0, 30.0])
def test_sums_over_a_grid_are_nearly_those_over_all_pairs(spread: float) -> None:
    places = RANDOM.normal(size=(700, 2)) * spread
    forces, whole = pushed(places)
    repulsion = Repulsion()
    for _ in range(2):  # the second has its kernels already
        found, total = repulsion.of(places)
        off = np.linalg.norm(found - forces, axis=1) / np.linalg.norm(forces, axis=1).clip(1e-3)
        assert np.median(off) < 0.02 and np.quantile(off, 0.95) < 0.1
        assert abs(total / whole - 1) < 0.01


def test_a_step_of_many_anchors_is_that_of_openTSNE() -> None:
    tsne = pytest.importorskip("openTSNE.tsne", reason="needs pip install 'clip-spark[map]'")
    places = RANDOM.normal(size=(500, 2)) * 10
    near = scipy.sparse.random(500, 500, 0.05, format="csr", random_state=3)
    own, theirs = (
        step(places, near / near.sum(), dof=1.0, bh_params={"theta": 0.0}, should_eval_error=True, n_jobs=1)
        for step in (fit_module._gradient_of(), tsne.kl_divergence_bh)
    )
    assert abs(own[0] - theirs[0]) < 1e-2
    assert np.linalg.norm(own[1] - theirs[1]) < 0.02 * np.linalg.norm(theirs[1])


@pytest.mark.parametrize(
    ("method", "many"),
    [(TSNE, 10_000), (TSNE, 0), pytest.param(UMAP, 0, marks=pytest.mark.long)],  # numba compiles for 15 seconds
)
def test_a_fit_keeps_clusters_and_is_the_same_again(method: str, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openTSNE" if method == TSNE else "umap", reason="needs pip install 'clip-spark[map]'")
    monkeypatch.setattr(fit_module, "MANY", many)
    of = np.arange(160) % 8
    vectors = unit_vectors(8, seed=2)[of] + 0.3 * unit_vectors(160, seed=3)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = graph(build_lists(vectors, 0), vectors, graph_size(method, len(vectors)))
    places = fit(method, vectors, found, 0)
    assert places.tobytes() == fit(method, vectors, found, 0).tobytes()
    away = ((places[:, None] - places) ** 2).sum(axis=2)
    np.fill_diagonal(away, np.inf)
    assert (of[away.argsort(axis=1)[:, :5]] == of[:, None]).mean() > 0.99
