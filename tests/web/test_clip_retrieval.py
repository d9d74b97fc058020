"""clip-retrieval's wire format, asked as its ClipClient and its front ask."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from clip_spark.search.hits import Wanted
from clip_spark.web.catalog import Catalog
from clip_spark.web.results import record_json


def ask(client: TestClient, **changes):
    """The request of clip-retrieval's ClipClient: all its keys, and no JSON content type."""
    body = {
        "text": None,
        "image": None,
        "image_url": None,
        "embedding_input": None,
        "deduplicate": True,
        "use_safety_model": True,
        "use_violence_detector": True,
        "indice_name": "images",
        "use_mclip": False,
        "aesthetic_score": 9,
        "aesthetic_weight": 0.5,
        "modality": "image",
        "num_images": 5,
        "num_result_ids": 5,
        **changes,
    }
    return client.post("/knn-service", content=json.dumps(body))


def ids(answer) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [hit["id"] for hit in answer.json()]


def test_the_client_finds_by_text(client: TestClient, catalog: Catalog) -> None:
    found = ask(client, text="a cat").json()
    served = catalog.get("images")
    expected = served.nearest(served.embed_text("a cat"), Wanted(k=5, unique=0.94))
    assert [hit["id"] for hit in found] == [hit.position for hit in expected]
    assert [hit["similarity"] for hit in found] == pytest.approx([hit.score for hit in expected])
    assert [hit["caption"] for hit in found] == [hit.record["caption"] for hit in expected]
    assert [hit["group"] for hit in found] == [hit.record["group"] for hit in expected]
    picture = Image.open(io.BytesIO(base64.b64decode(found[0]["image"])))
    assert picture.format == "JPEG" and picture.size == (64, 64)
    assert found[0]["image_path"].startswith("tar://")


def test_the_front_asks_for_many_ids_and_fetches_columns_later(client: TestClient) -> None:
    # It joins its host's trailing slash with /knn-service, sends "" for what is off, and scores as strings.
    body = {
        "text": "a cat",
        "image": None,
        "image_url": None,
        "embedding_input": None,
        "modality": "image",
        "num_images": 2,
        "indice_name": "images",
        "num_result_ids": 40,
        "use_mclip": False,
        "deduplicate": True,
        "use_safety_model": True,
        "use_violence_detector": True,
        "aesthetic_score": "9",
        "aesthetic_weight": "0.5",
    }
    found = client.post(f"{client.base_url}//knn-service", json=body).json()
    assert 2 < len(found) <= 40
    assert "caption" in found[1] and set(found[2]) == {"id", "similarity"}
    later = client.post(
        f"{client.base_url}//metadata", json={"ids": [found[-1]["id"], found[1]["id"]], "indice_name": "images"}
    ).json()
    assert [one["id"] for one in later] == [found[-1]["id"], found[1]["id"]]
    assert later[1]["metadata"]["caption"] == found[1]["caption"]


def test_image_and_embedding_queries_find_their_record(client: TestClient, catalog: Catalog) -> None:
    served = catalog.get("images")
    record = served.records([17])[0]
    picture = client.get(f"/picture/{record['record_id']}?index=images").content
    assert ids(ask(client, image=base64.b64encode(picture).decode()))[0] == 17
    vector = (3 * served.embedding_of(record["record_id"])).tolist()  # of any length
    assert ids(ask(client, embedding_input=vector))[0] == 17
    assert ids(ask(client, embedding_input=vector, text="a cat")) == ids(ask(client, text="a cat"))  # text wins


def test_near_duplicates_are_dropped_on_request(client: TestClient, catalog: Catalog) -> None:
    served = catalog.get("images")
    everything = ids(ask(client, text="a cat", num_images=48, deduplicate=False))
    kept = ids(ask(client, text="a cat", num_images=48, deduplicate=True))
    vectors = {one: served.embedding_of(served.records([one])[0]["record_id"]) for one in everything}
    expected: list[int] = []
    for one in everything:
        if all(vectors[one] @ vectors[other] < 0.94 for other in expected):
            expected.append(one)
    assert kept == expected and sorted(everything) == list(range(48))


def test_hits_bring_their_vectors_and_where_they_came_from_on_request(client: TestClient, catalog: Catalog) -> None:
    served = catalog.get("images")
    found = ask(client, text="a cat", embeddings=True, deduplicate=False, num_images=3).json()
    for hit in found[:3]:
        stored = served.embedding_of(hit["record_id"])
        np.testing.assert_allclose(hit["embedding"], stored, atol=1e-6)
    assert len(found) == 5 and "embedding" not in found[3] and "embedding" not in ask(client, text="a cat").json()[0]
    hits = client.get("/search", params={"q": "a cat", "index": "images", "k": 3, "embeddings": True}).json()["hits"]
    assert [hit["embedding"] for hit in hits] == [hit["embedding"] for hit in found[:3]]
    lines = client.get("/search", params={"q": "a cat", "k": 2, "embeddings": True, "format": "jsonl"}).text
    assert [json.loads(line)["embedding"] for line in lines.splitlines()] == [hit["embedding"] for hit in found[:2]]
    table = client.get("/search", params={"q": "a cat", "k": 2, "embeddings": True, "format": "arrow"}).content
    assert pa.ipc.open_stream(table).read_all()["embedding"].to_pylist() == [hit["embedding"] for hit in found[:2]]
    asked = {"queries": [{"text": "a cat"}], "indices": ["images"], "k": 1, "embeddings": True}
    assert client.post("/query", json=asked).json()["answers"][0]["hits"][0]["embedding"] == found[0]["embedding"]
    refused = client.get("/search", params={"q": "a cat", "k": 1001, "embeddings": True})
    assert refused.status_code == 400
    record = {"record_id": "x", "uri": "tar://a.jpg::/t.tar", "url": "https://example.org/a.jpg", "caption": "a"}
    assert record_json(served, record)["link"] == "https://example.org/a.jpg"
    assert record_json(served, {**record, "url": "javascript:alert(1)"})["link"] is None


def test_texts_are_searched_under_their_modality(client: TestClient) -> None:
    found = ask(client, text="a cat", modality="text", indice_name=None).json()
    assert len(found) == 5 and all(hit["caption"] == hit["text"] for hit in found)


def test_names_and_times(client: TestClient) -> None:
    ask(client, text="a cat")
    assert client.get("/indices-list").json() == ["images", "words"]
    figures = client.get("/metrics").text
    for stage in ("full_knn_request_time", "text_clip_inference_time", "knn_index_time", "metadata_get_time"):
        assert f"{stage}_sum" in figures and f"{stage}_count" in figures


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"image_url": "http://169.254.169.254/latest"}, "'image_url' is refused"),
        ({}, "There is no query"),
        ({"text": ""}, "There is no query"),
        ({"text": 5}, "'text' is 5; it must be text."),
        ({"image": "not base64!"}, "'image' is not base64"),
        ({"image": base64.b64encode(b"x").decode()}, "not a usable picture"),
        ({"embedding_input": [1.0, 2.0]}, "must be 256 finite numbers"),
        ({"embedding_input": [0.0] * 256}, "not all zero"),
        ({"embedding_input": [[1.0], [2.0, 3.0]]}, "must be a list of numbers"),
        ({"text": "a", "modality": None}, "'modality' is ''"),
        ({"text": "a", "modality": "text"}, "Index 'images' holds images; ask for it with 'modality': 'image'."),
        ({"text": "a", "num_images": None}, "'num_images' is None"),
        ({"text": "a", "num_result_ids": 3000}, "at most 200 hits"),
        ({"text": "a", "indice_name": "laion"}, "There is no index 'laion'"),
    ],
)
def test_what_cannot_be_answered_is_said_as_its_clients_expect(
    client: TestClient, changes: dict, sentence: str
) -> None:
    answer = ask(client, **changes)
    assert answer.status_code in (400, 404)
    assert sentence in answer.json()["message"]


@pytest.mark.parametrize("body", ["", "[]", "{", '{"ids": [-1], "indice_name": null}', '{"ids": [48]}', '{"ids": "1"}'])
def test_bad_metadata_requests_are_refused(client: TestClient, body: str) -> None:
    answer = client.post("/metadata", content=body)
    assert answer.status_code in (400, 404) and answer.json()["message"].endswith(".")


def test_no_ids_no_metadata(client: TestClient) -> None:
    assert client.post("/metadata", content='{"ids": [], "indice_name": "images"}').json() == []
