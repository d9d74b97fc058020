"""Maps over HTTP: tiles as they are on the disk, texts where the step puts them, hits where their points lie."""

from __future__ import annotations

import gzip
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import clip_spark as cs
from clip_spark.analysis.map.tiles import TILES_LIST
from clip_spark.datasets.manifest import read_manifest
from clip_spark.errors import InputError, ModelError
from clip_spark.index.change.remove import remove_records
from clip_spark.index.open import removals
from clip_spark.index.specs import RemoveSpec
from clip_spark.storage import read_json
from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog
from clip_spark.web.maps import scores, sprites
from clip_spark.web.maps.outline import inside
from clip_spark.web.picture_of import picture_of
from clip_spark.web.reload import Reloader
from tests.helpers_map import make_small_map
from tests.helpers_web import PICTURES, build, make_indices, write_pictures


@pytest.fixture(scope="module")
def points(map_uri: str) -> dict[tuple[str, str], dict[str, Any]]:
    """(kind, id) -> row of the points that the step wrote."""
    rows = [row for uri in read_manifest(map_uri).files("points") for row in pq.read_table(uri).to_pylist()]
    return {(row["kind"], row["record_id"]): row for row in rows}


def names_of(client: TestClient, kind: str = "image") -> list[str]:
    """All points of a kind, as addresses name them."""
    tiles = client.get("/maps/emoji").json()["tiles"]
    return [f"{tile}.{row}" for tile, count in tiles.items() if tile.startswith(kind) for row in range(count)]


def test_a_map_says_what_drawing_needs(client: TestClient, map_uri: str) -> None:
    (short,) = client.get("/maps").json()
    assert short["rows"]["image"] == PICTURES and short["homes"] == {"image": "images", "text": "words"}
    whole = client.get("/maps/emoji").json()
    assert sum(whole["tiles"].values()) == sum(short["rows"].values()) and whole["columns"] == {"group": "string"}
    assert [index["maps"] for index in client.get("/indices").json()] == [["emoji"], ["emoji"]]
    assert "emoji" not in client.get("/maps/none").json()["message"] or client.get("/maps/none").status_code == 404


def test_tiles_are_those_on_the_disk_and_come_once(client: TestClient, map_uri: str) -> None:
    listed = read_json(f"{map_uri}/{TILES_LIST}")["tiles"]
    version = client.get("/maps").json()[0]["version"]
    for tile in listed:
        answer = client.get(f"/maps/emoji/tiles/{tile['tile']}", params={"version": version})
        assert answer.content == Path(f"{map_uri}/{tile['file']}.arrow").read_bytes()
        again = client.get(f"/maps/emoji/tiles/{tile['tile']}", headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304 and not again.content
    assert client.get(f"/maps/emoji/tiles/{listed[0]['tile']}", params={"version": "old"}).status_code == 404
    assert client.get("/maps/emoji/tiles/image-9-9-9").status_code == 404


def test_points_are_the_records_behind_them(client: TestClient, points: dict[Any, Any]) -> None:
    names = names_of(client)
    found = client.get("/maps/emoji/points", params={"points": ",".join(names)}).json()
    assert {("image", one["record"]["record_id"]) for one in found} == {key for key in points if key[0] == "image"}
    assert all(one["title"] and one["picture"] for one in found)
    for wrong in ("image-0-0-0.999", "image-7-0-0.0", "image", ""):
        assert client.get("/maps/emoji/points", params={"points": wrong}).status_code in (400, 404)


@pytest.mark.parametrize("thumbnails", [PICTURES, 5])
def test_a_sheet_shows_each_picture_in_its_cell(
    client: TestClient, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, thumbnails: int
) -> None:
    """The step has made the first of them; originals are read for the others alone."""
    names = names_of(client)[:11]
    records = client.get("/maps/emoji/points", params={"points": ",".join(names)}).json()
    originals = [client.get(f"/{record['picture']}&size=256").content for record in records]
    read: list[str] = []

    def counted(catalog: Any, index: Any, record: dict[str, Any], *rest: Any) -> Any:
        read.append(record["record_id"])
        return picture_of(catalog, index, record, *rest)

    monkeypatch.setattr(sprites, "picture_of", counted)
    monkeypatch.setitem(catalog.maps["emoji"].tiles["image-0-0-0"], "thumbnails", thumbnails)
    sheet = Image.open(io.BytesIO(client.get("/maps/emoji/sprites", params={"points": ",".join(names)}).content))
    assert sheet.size == (512, 128)
    assert read == [record["record"]["record_id"] for record in records[thumbnails:]]
    for at, original in enumerate(originals):
        own = Image.open(io.BytesIO(original)).convert("RGBA")
        left, top = at % 8 * 64, at // 8 * 64
        cell = sheet.convert("RGBA").crop((left, top, left + 64, top + 64))
        white = [Image.alpha_composite(Image.new("RGBA", (64, 64), "white"), one) for one in (cell, own)]
        assert np.abs(np.asarray(white[0], float) - np.asarray(white[1], float)).mean() < 8, records[at]["title"]
    assert np.asarray(sheet.convert("RGBA"))[64:, 3 * 64 :, 3].max() == 0, "cells without a picture are empty"


def test_a_query_lands_where_the_step_would_put_it_and_its_hits_lie_where_they_are(
    client: TestClient, catalog: Catalog, points: dict[Any, Any]
) -> None:
    words = catalog.get("words")
    for (kind, record_id), row in list(points.items())[::7]:
        if kind == "text":
            vector = words.embedding_of(record_id).tolist()
            landed = client.post("/maps/emoji/search", json={"embedding": vector}).json()
            assert np.allclose([landed["x"], landed["y"]], [row["x"], row["y"]], atol=1e-4)
    found = client.post("/maps/emoji/search", json={"text": "cat", "k": 30}).json()
    plain = client.get("/search", params={"q": "cat", "k": 30, "index": "images"}).json()["hits"]
    assert [hit["record_id"] for hit in found["hits"]] == [hit["record"]["record_id"] for hit in plain]
    assert [hit["title"] for hit in found["best"]] == [hit["title"] for hit in plain[:24]]
    for hit in found["hits"]:
        row = points["image", hit["record_id"]]
        assert (hit["x"], hit["y"]) == (row["x"], row["y"])
    like = plain[0]["record"]["record_id"]
    row = points["image", like]
    landed = client.post("/maps/emoji/search", json={"like": like}).json()
    assert (landed["x"], landed["y"], landed["hits"]) == (row["x"], row["y"], [])


def scores_of(client: TestClient, kind: str, body: dict[str, Any]) -> dict[str | None, float | None]:
    """Record -> its score, of all points of a kind."""
    found: dict[str | None, float | None] = {}
    for tile, count in client.get("/maps/emoji").json()["tiles"].items():
        if tile.startswith(kind):
            names = ",".join(f"{tile}.{row}" for row in range(count))
            records = client.get("/maps/emoji/points", params={"points": names}).json()
            answer = client.post(f"/maps/emoji/tiles/{tile}/scores", json=body)
            table = pa.ipc.open_file(answer.content).read_all()
            ids = [one and one["record"]["record_id"] for one in records]  # null: it was taken down
            found.update(zip(ids, table["score"].to_pylist(), strict=True))
    return found


@pytest.mark.parametrize(("kind", "index"), [("image", "images"), ("text", "words")])
def test_each_point_is_scored_as_a_search_scores_its_record(
    client: TestClient, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, kind: str, index: str
) -> None:
    monkeypatch.setattr(scores, "BLOCK_ROWS", 7)
    hits = client.get("/search", params={"q": "cat", "k": 100, "index": index}).json()["hits"]
    expected = {hit["record"]["record_id"]: hit["score"] for hit in hits}
    found = scores_of(client, kind, {"text": "cat"})
    assert found == pytest.approx(expected, abs=1e-5) and len(found) == catalog.get(index).rows
    landed = client.post("/maps/emoji/search", json={"text": "cat", "vector": True}).json()
    assert scores_of(client, kind, {"embedding": landed["vector"]}) == pytest.approx(expected, abs=1e-5)
    terms = {"terms": [{"text": "cat"}, {"text": "dog", "weight": -1}]}
    (kept,) = client.post("/query", json={"queries": [terms], "indices": [index], "k": 100}).json()["answers"]
    without = scores_of(client, kind, terms)
    assert {one for one, score in without.items() if score is not None} == {
        hit["record"]["record_id"] for hit in kept["hits"]
    }


def test_a_notebook_places_texts_where_the_server_does(client: TestClient, map_uri: str) -> None:
    pytest.importorskip("anywidget", reason="needs anywidget: pip install anywidget")
    opened = cs.open_map(map_uri)
    assert opened.rows == client.get("/maps").json()[0]["rows"]
    landed = client.post("/maps/emoji/search", json={"text": "cat"}).json()
    assert np.allclose(opened.place(["cat"])[0], [landed["x"], landed["y"]], atol=1e-4)
    shown = opened.widget
    assert "map_widget.render" in shown._esm and gzip.decompress(shown.data) and opened.selected == []
    answers: list[dict[str, Any]] = []
    shown.send = answers.append
    shown._handle_custom_msg({"id": "1", "text": "cat"}, [])
    answer = answers[0]
    assert answer["id"] == "1" and (answer["x"], answer["y"]) == tuple(opened.place(["cat"])[0].tolist())
    there = {
        hit["record_id"]: hit for hit in client.post("/maps/emoji/search", json={"text": "cat", "k": 15}).json()["hits"]
    }
    assert len(answer["hits"]) == 15 and answer["hits"][0]["record_id"] == next(iter(there))
    for hit in answer["hits"]:
        if hit["record_id"] in there:
            assert hit == pytest.approx(there[hit["record_id"]], abs=1e-4)
    titles = [one["title"] for one in answer["best"]]
    assert titles[0] == client.get("/search", params={"q": "cat", "k": 1, "index": "images"}).json()["hits"][0]["title"]


def test_a_polygon_holds_what_lies_in_it_whatever_the_zoom(client: TestClient, points: dict[Any, Any]) -> None:
    x0, y0, x1, y1 = client.get("/maps/emoji").json()["view"]
    middle = [(x0 + x1) / 2, (y0 + y1) / 2]
    corners = [[x0, y0], [x1, y0], middle]  # a triangle: what lies below both lines to the middle
    expected = set()
    for key, row in points.items():
        right, up = (row["x"] - x0) / (x1 - x0), (row["y"] - y0) / (y1 - y0)
        if 0 <= up < min(right, 1 - right):
            expected.add(key)
    found = client.post("/maps/emoji/inside", json={"polygon": corners, "k": 1000}).json()
    listed = {(one["kind"], one["record_id"]) for one in found["points"]}
    assert len(expected) > 3 and found["count"] == len(listed) and len(listed ^ expected) <= 1  # one on an edge
    few = client.post("/maps/emoji/inside", json={"polygon": corners, "k": 2, "kind": "text"}).json()
    assert few["count"] == sum(kind == "text" for kind, _ in listed) and len(few["points"]) == 2
    table = client.post("/maps/emoji/inside", params={"format": "csv"}, json={"polygon": corners, "k": 1000}).content
    assert pa.csv.read_csv(io.BytesIO(table)).num_rows == len(listed)


def test_even_odd_is_what_a_sum_of_angles_says() -> None:
    random = np.random.default_rng(3)
    corners, places = random.uniform(-1, 1, (9, 2)), random.uniform(-1.2, 1.2, (400, 2))
    from_place = corners[None] - places[:, None]
    angles = np.arctan2(from_place[..., 1], from_place[..., 0])
    turns = (np.diff(angles, axis=1, append=angles[:, :1]) + np.pi) % (2 * np.pi) - np.pi
    winding = np.round(turns.sum(axis=1) / (2 * np.pi))
    assert (inside(corners, places) == (winding % 2 != 0)).all()


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("search", {}, "Each term needs one of"),
        ("search", {"text": " "}, "is empty"),
        ("search", {"text": "cat", "index": "other"}, "no index 'other'"),
        ("search", {"text": "cat", "k": 201}, "at most 200"),
        ("search", {"text": "cat", "k": 3, "where": "nothing = 1"}, "nothing"),
        ("tiles/image-0-0-0/scores", {}, "Each term needs one of"),
        ("tiles/image-9-0-0/scores", {"text": "cat"}, "no tile"),
        ("tiles/image-0-0-0/scores?version=old", {"text": "cat"}, "made anew"),
        ("inside", {"polygon": [[0, 0], [1, 1]]}, "'polygon'"),
        ("inside", {"polygon": [[0, 0], [1, 1], [2]]}, "'polygon'"),
        ("inside", {"polygon": [[0, 0], [1, 1], [0, 1]], "kind": "both"}, "'kind'"),
    ],
)
def test_mistakes_are_one_sentence(client: TestClient, path: str, body: dict[str, Any], sentence: str) -> None:
    answer = client.post(f"/maps/emoji/{path}", json=body)
    assert answer.status_code in (400, 404) and sentence in answer.json()["message"]


def test_a_map_of_other_pictures_or_of_another_encoder_is_refused(
    indices: dict[str, str], map_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path, 12)
    other = {"few": build(tmp_path, "images").uri}
    with pytest.raises(InputError, match="shows other pictures than index few"):
        Catalog.open(other, {"emoji": map_uri})
    with pytest.raises(InputError, match="give theirs as --index too"):
        Catalog.open({"words": indices["words"]}, {"emoji": map_uri})
    with pytest.raises(InputError, match="holds index; this option needs map"):
        Catalog.open(indices, {"emoji": indices["images"]})
    catalog = Catalog.open(indices)
    catalog.get("images").searcher.info.encoder["weights_sha256"] = "other"
    monkeypatch.setattr(
        "clip_spark.search.searcher.Searcher.open", lambda _uri, **_given: catalog.get("images").searcher
    )
    with pytest.raises(ModelError, match="use the same model"):
        Catalog.open({"images": "any"}, {"emoji": map_uri})


def test_what_was_taken_down_is_on_no_map_and_a_map_made_anew_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "LOCAL_SECONDS", 0.02)
    indices = make_indices(tmp_path, 14)
    uri = make_small_map(tmp_path).uri
    catalog = Catalog.open(indices, {"emoji": uri})
    app = create_app(catalog)
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        names = names_of(client)
        first = client.get("/maps/emoji/points", params={"points": names[0]}).json()[0]["record"]["record_id"]
        remove_records(None, RemoveSpec(index=indices["images"], ids=(first,)))  # type: ignore[arg-type]
        reloader = Reloader(app.state, indices, {"emoji": uri})
        reloader.look()
        asked = {"points": ",".join(names[:3])}
        while (shown := client.get("/maps/emoji/points", params=asked).json())[0] is not None:
            time.sleep(0.02)  # the test's own limit ends it
        assert shown[1] and shown[2]
        scored = scores_of(client, "image", {"embedding": np.ones(catalog.get("images").searcher.info.dim).tolist()})
        assert scored.pop(None) is None and None not in scored.values(), "what was taken down has no score"
        x0, y0, x1, y1 = (-1e6, -1e6, 1e6, 1e6)
        around = {"polygon": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]], "kind": "image"}
        assert first not in {
            one["record_id"] for one in client.post("/maps/emoji/inside", json=around).json()["points"]
        }
        before = client.get("/maps").json()[0]["version"]
        make_small_map(tmp_path, seed=1, overwrite=True)
        reloader.look()
        after = client.get("/maps").json()[0]["version"]
        assert after != before
        assert client.get("/maps/emoji/tiles/image-0-0-0", params={"version": before}).status_code == 404
        assert client.get("/maps/emoji/tiles/image-0-0-0", params={"version": after}).status_code == 200
