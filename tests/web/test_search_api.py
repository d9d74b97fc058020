"""Our own API: hits, paging, pictures, and one clear sentence for what cannot be answered."""

from __future__ import annotations

import base64
import io
import json
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydantic import TypeAdapter

from clip_spark.index.open.removals import add_removed
from clip_spark.web import card as cards
from clip_spark.web import picture_of
from clip_spark.web.answers import CardAnswer, ErrorAnswer, IndexAnswer, MetadataAnswer, SampleAnswer, SearchAnswer
from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog
from clip_spark.web.errors import NotFound
from clip_spark.web.guard import Rules
from clip_spark.web.origins import names_on


def hits(client: TestClient, **parameters):
    answer = client.get("/search", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["hits"]


def oracle(catalog: Catalog, index: str, vector: np.ndarray) -> list[str]:
    """All record ids of an index by exact search in numpy."""
    served = catalog.get(index)
    records = served.records(list(range(served.rows)))
    vectors = np.stack([served.embedding_of(record["record_id"]) for record in records])
    return [records[at]["record_id"] for at in np.argsort(-(vectors @ vector), kind="stable")]


def test_words_find_what_exact_search_finds(client: TestClient, catalog: Catalog) -> None:
    found = hits(client, q="a cat", k=10)
    vector = catalog.get("images").embed_text("a cat")
    assert [hit["record"]["record_id"] for hit in found] == oracle(catalog, "images", vector)[:10]
    assert [hit["rank"] for hit in found] == list(range(1, 11))
    assert found[0]["title"] == found[0]["record"]["caption"]


def test_pages_join_to_the_whole(client: TestClient, catalog: Catalog) -> None:
    whole = hits(client, q="a cat", k=48)
    pages = [client.get("/search", params={"q": "a cat", "k": 20, "offset": at}).json() for at in (0, 20, 40)]
    assert [hit for page in pages for hit in page["hits"]] == whole
    assert [page["more"] for page in pages] == [True, True, False]


def test_like_leaves_out_the_record_itself_on_every_page(client: TestClient, catalog: Catalog) -> None:
    seed = hits(client, q="a cat", k=1)[0]["record"]["record_id"]
    expected = [one for one in oracle(catalog, "images", catalog.get("images").embedding_of(seed)) if one != seed]
    found = [hit for at in (0, 15) for hit in hits(client, like=seed, k=15, offset=at)]
    assert [hit["record"]["record_id"] for hit in found] == expected[:30]
    assert client.get("/search", params={"like": seed}).json()["query"]["record"]["record_id"] == seed


def test_a_picture_of_one_index_finds_texts_of_another(client: TestClient, catalog: Catalog) -> None:
    seed = hits(client, q="a cat", k=1)[0]["record"]["record_id"]
    found = hits(client, like=seed, of="images", index="words", k=5)
    vector = catalog.get("images").embedding_of(seed)
    assert [hit["record"]["record_id"] for hit in found] == oracle(catalog, "words", vector)[:5]
    assert found[0]["picture"] is None


def test_an_uploaded_picture_finds_itself(client: TestClient) -> None:
    wanted = hits(client, q="a cat", k=3)[2]
    data = client.get(f"/{wanted['picture']}").content
    answer = client.post("/search?k=3", content=data).json()
    assert answer["hits"][0]["record"]["record_id"] == wanted["record"]["record_id"]
    assert answer["hits"][0]["score"] == pytest.approx(1.0, abs=1e-4)


def test_a_picture_is_the_bytes_of_its_tar_member(client: TestClient, indices: dict[str, str]) -> None:
    hit = hits(client, q="a cat", k=1)[0]
    answer = client.get(f"/{hit['picture']}")
    tar = (Path(indices["images"]).parent / "pictures" / "00000.tar").read_bytes()
    offset, size = hit["record"]["offset"], hit["record"]["size"]
    assert answer.content == tar[offset : offset + size]
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert Image.open(io.BytesIO(client.get(f"/{hit['picture']}&size=256").content)).size == (64, 64)


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/search", 400, "Give one of 'q' (words) and 'like'"),
        ("/search?q=a&like=b", 400, "Give one of"),
        ("/search?q=%20", 400, "'q' is empty"),
        ("/search?q=a&k=0", 400, "'k' is '0'"),
        ("/search?q=a&k=x", 400, "'k' is 'x'"),
        ("/search?q=a&offset=-1", 400, "'offset' is '-1'"),
        ("/search?q=a&k=50&offset=151", 400, "Hit number 201 is asked for; this server gives at most 200"),
        ("/search?q=a&index=image", 404, "There is no index 'image'; there are: images, words. Did you mean 'images'?"),
        ("/search?like=nothing", 404, "There is no record 'nothing' in index 'images'."),
        ("/picture/nothing", 404, "There is no record 'nothing'"),
        ("/picture/nothing?size=333", 400, "'size' is 333; it must be 0 (the original) or one of 256, 512, 1024."),
        ("/picture/..%2F..%2Fetc%2Fpasswd", 404, "Not Found."),
        ("/nowhere", 404, "Not Found."),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_sentence(
    client: TestClient, path: str, status: int, sentence: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert sentence in answer.json()["message"]


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n cut"])
def test_an_upload_that_is_no_picture_is_refused(client: TestClient, data: bytes) -> None:
    answer = client.post("/search", content=data)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("This is not a usable picture: ")


def test_a_form_is_refused_with_the_way_to_do_it(client: TestClient) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = client.post("/search", content=b"x", headers=headers)
    assert answer.status_code == 400 and "--data-binary" in answer.json()["message"]


def test_a_body_over_the_limit_is_refused_announced_or_not(client: TestClient) -> None:
    big = b"x" * (1 << 20)
    for content in (big + b"x", iter([big, b"x"])):
        answer = client.post("/search", content=content)
        assert answer.status_code == 413 and "at most 1 MB" in answer.json()["message"]
    assert client.post("/search", content=big).status_code == 400  # not too large, only no picture


def test_other_host_names_are_refused_on_loopback(client: TestClient, catalog: Catalog) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example:8000", ""):
        assert client.get("/health", headers={"host": host}).status_code == 400
    for host in ("localhost:1", "127.0.0.1", "[::1]:8000"):
        assert client.get("/health", headers={"host": host}).status_code == 200
    public = TestClient(create_app(catalog, Rules(names_on("0.0.0.0"))))
    assert public.get("/health", headers={"host": "search.example"}).status_code == 200


def test_other_origins_only_when_allowed(client: TestClient, catalog: Catalog) -> None:
    origin = {"origin": "http://front.example"}
    refused = client.get("/indices-list", headers=origin)
    assert refused.status_code == 403 and "access-control-allow-origin" not in refused.headers
    allowing = TestClient(create_app(catalog, Rules(origins=["http://front.example"])))
    found = allowing.get("/indices-list", headers=origin).headers["access-control-allow-origin"]
    assert found == "http://front.example"


def test_health_and_readiness(client: TestClient) -> None:
    assert client.get("/health").json()["indices"] == ["images", "words"]
    assert client.get("/ready").json() == {"status": "ready"}


def test_a_condition_and_a_threshold_limit_the_hits(client: TestClient) -> None:
    found = hits(client, q="a cat", index="words", where="n = 3", k=100)
    assert found and {hit["record"]["n"] for hit in found} == {3}
    everything = hits(client, q="a cat", k=48)
    least = everything[9]["score"] - 1e-6
    assert len(hits(client, q="a cat", k=48, threshold=least)) == sum(hit["score"] >= least for hit in everything)
    answer = client.get("/search", params={"q": "a", "where": "nonsense = 1"})
    assert answer.status_code == 400 and "nonsense" in answer.json()["message"]


def test_removed_records_are_gone_at_once(indices: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(indices["images"], tmp_path / "images")
    catalog = Catalog.open({"images": str(tmp_path / "images")})
    client = TestClient(create_app(catalog))
    hit = hits(client, q="a cat", k=1)[0]
    record_id, position = hit["record"]["record_id"], catalog.get(None).position(hit["record"]["record_id"])
    add_removed(str(tmp_path / "images"), [record_id])
    time.sleep(1)  # open searchers look for changes twice a second
    assert record_id not in {one["record"]["record_id"] for one in hits(client, q="a cat", k=48)}
    assert record_id not in {one["record"]["record_id"] for one in client.get("/sample?k=48").json()["records"]}
    for path in (f"/search?like={record_id}", f"/{hit['picture']}", f"/{hit['picture']}&size=256"):
        assert client.get(path).status_code == 404
    assert client.post("/metadata", json={"ids": [position]}).status_code == 404


def test_what_is_served(client: TestClient) -> None:
    images, words = client.get("/indices").json()
    assert (images["name"], images["kind"], images["rows"]) == ("images", "image", 48)
    assert (words["name"], words["kind"]) == ("words", "text")
    records = client.get("/sample?k=5").json()["records"]
    assert len({one["record"]["record_id"] for one in records}) == 5


def test_the_card_of_an_index_says_what_it_was_built_from(
    client: TestClient, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards, "LICENCES", ("group",))
    card, info = client.get("/card").json(), catalog.get("images").searcher.info
    groups = Counter(hit["record"]["group"] for hit in hits(client, q="cat", k=48))
    assert {one["value"]: one["count"] for one in card["licences"]["group"]} == groups and card["lost"] == {}
    sets = {"embeddings": {"uri": "a"}, "embeddings-2": {"uri": "b"}, "queries": {"uri": "c"}}
    known = replace(info, lost={"a": {"not a picture": 2}, "b": {"not a picture": 1, "too large": 4}})
    assert cards.lost_of(sets, known) == {"not a picture": 3, "too large": 4}
    assert cards.lost_of(sets, replace(info, lost={"a": {}})) is None, "an older version did not write it down"
    assert (card["rows"], card["removed"], card["model"], card["calibrated"]) == (48, 0, "demo", False)
    assert card["recall"] == [{"k": 10, "recall": 1.0}]
    assert info.generation in card["cite"] and info.encoder["weights_sha256"][:12] in card["cite"]
    assert client.get("/card?index=none").status_code == 404


def test_many_threads_get_the_same_answers(client: TestClient) -> None:
    words = ["a cat", "red heart", "flag", "a person"]
    expected = [hits(client, q=q, k=5) for q in words]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda q: hits(client, q=q, k=5), words * 5))
    assert found == expected * 5


def test_a_text_is_encoded_once_for_all_pages(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    served, asked = catalog.get("images"), []
    encode = served.searcher.encoder.encode_texts
    monkeypatch.setattr(served.searcher.encoder, "encode_texts", lambda texts: asked.extend(texts) or encode(texts))
    first, second = served.embed_text("a text of this test"), served.embed_text("a text of this test")
    assert asked == ["a text of this test"] and first is second and not first.flags.writeable


@pytest.mark.parametrize(
    ("method", "path", "body", "model"),
    [
        ("get", "/search?q=a+cat&k=3", None, SearchAnswer),
        ("get", "/search?q=&k=3", None, ErrorAnswer),
        ("get", "/sample?k=3", None, SampleAnswer),
        ("get", "/indices", None, list[IndexAnswer]),
        ("get", "/card?index=words", None, CardAnswer),
        ("post", "/metadata", {"ids": [1, 2], "indice_name": "words"}, list[MetadataAnswer]),
        ("post", "/metadata", {"ids": "1"}, ErrorAnswer),
    ],
)
def test_answers_have_the_shapes_that_openapi_promises(client: TestClient, method, path, body, model) -> None:
    described = client.get("/openapi.json").json()["paths"][path.split("?")[0]][method]
    answer = client.request(method, path, json=body)
    TypeAdapter(model).validate_python(answer.json(), strict=True)
    promised = described["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
    name = getattr(model, "__name__", "") if model not in (list[IndexAnswer], list[MetadataAnswer]) else "array"
    assert name in json.dumps(promised)
    assert method == "get" or "requestBody" in described


def test_a_sample_can_have_a_condition(client: TestClient) -> None:
    records = client.get("/sample", params={"k": 100, "index": "words", "where": "n = 3"}).json()["records"]
    assert records and {one["record"]["n"] for one in records} == {3}


def test_the_first_pictures_can_come_with_the_answer(client: TestClient) -> None:
    for path in ("/search?q=a+cat&k=6&thumbnails=4", "/search?q=a+cat&k=6&thumbnails=4&columns=caption"):
        shown = client.get(path).json()["hits"]
        inside = [hit.get("thumbnail") for hit in shown]
        assert inside[4:] == [None, None]
        for hit, address in zip(shown[:4], inside, strict=False):
            kind, _, data = address.removeprefix("data:").partition(";base64,")
            answer = client.get(f"/{hit['picture']}&size=256")
            assert (kind, base64.b64decode(data)) == (answer.headers["content-type"], answer.content)
    records = client.get("/sample?k=3&thumbnails=2").json()["records"]
    assert [bool(one.get("thumbnail")) for one in records] == [True, True, False]
    assert client.get("/search?q=a&index=words&thumbnails=2").json()["hits"][0].get("thumbnail") is None


def test_a_picture_that_cannot_be_read_does_not_stop_the_answer(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(record: dict) -> bytes:
        raise NotFound("gone")

    monkeypatch.setattr(picture_of, "read_picture", gone)
    answer = TestClient(create_app(catalog)).get("/search?q=a+cat&k=3&thumbnails=3")
    assert answer.status_code == 200 and [hit["thumbnail"] for hit in answer.json()["hits"]] == [None] * 3
