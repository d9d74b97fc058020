"""POST /query and what both searches share: weighted and batch queries, columns, facets, formats, figures, HEAD."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from clip_spark.web.answers import FrontConfig, QueryAnswer, SearchAnswer
from clip_spark.web.catalog import Catalog


def ask(client: TestClient, **body: Any) -> list[dict[str, Any]]:
    answer = client.post("/query", json=body)
    assert answer.status_code == 200, answer.text
    TypeAdapter(QueryAnswer).validate_python(answer.json(), strict=True)
    return answer.json()["answers"]


def ids(answer: dict[str, Any]) -> list[str]:
    return [hit["record"]["record_id"] for hit in answer["hits"]]


def exact(catalog: Catalog, index: str, vector: np.ndarray, k: int) -> list[str]:
    """By brute force."""
    served = catalog.get(index)
    records = served.records(range(served.rows))
    vectors = np.stack([served.embedding_of(record["record_id"]) for record in records])
    return [records[at]["record_id"] for at in np.argsort(-(vectors @ vector), kind="stable")[:k]]


def test_each_query_is_answered_in_each_index(client: TestClient) -> None:
    found = ask(client, queries=[{"text": "a cat"}, {"text": "flag"}], indices=["words", "images"], k=5)
    assert [(one["index"], one["query_kind"]) for one in found] == [("words", "text"), ("images", "text")] * 2
    for one, q in zip(found, ("a cat", "a cat", "flag", "flag"), strict=True):
        alone = client.get("/search", params={"q": q, "index": one["index"], "k": 5}).json()
        assert ids(one) == ids(alone) and one["recall_expected"] == 1.0


def test_a_weighted_query_is_the_sum_of_its_terms(client: TestClient, catalog: Catalog) -> None:
    record = client.get("/sample?k=3").json()["records"][1]
    picture = base64.b64encode(client.get(f"/{record['picture']}").content).decode()
    served = catalog.get("images")
    own = served.embedding_of(record["record"]["record_id"])
    parts = [(1.0, served.embed_text("a cat")), (0.5, served.embed_text("flag")), (0.25, own), (2.0, own)]
    total = np.sum([weight * vector for weight, vector in parts], axis=0)
    terms = [
        {"text": "a cat"},
        {"text": "flag", "weight": 0.5},
        {"like": record["record"]["record_id"], "weight": 0.25},
        {"image": picture, "weight": 2},
    ]
    (found,) = ask(client, queries=[{"terms": terms}], k=10)
    assert ids(found) == exact(catalog, "images", total / np.linalg.norm(total), 10)
    assert found["query_kind"] == "mixed"


def test_what_is_not_wanted_is_left_out_in_every_way_to_ask(client: TestClient) -> None:
    terms = [{"text": "animal"}, {"text": "insect", "weight": -1}]
    (found,), (plain,) = (ask(client, queries=[one], k=20) for one in ({"terms": terms}, {"text": "animal"}))
    assert found["query_kind"] == "text", "of what is wanted"
    (typed,) = ask(client, queries=[{"text": "animal without insect"}], k=20)
    searched = client.get("/search", params={"q": "animal, no insect", "k": 20}).json()
    assert ids(found) == ids(typed) == ids(searched) and found["hits"] == typed["hits"]
    kept = [one for one in ids(plain) if one in ids(found)]
    assert ids(found)[: len(kept)] == kept and set(ids(found)) != set(ids(plain)), "the ranking stays"


def test_an_embedding_is_a_query_of_any_length(client: TestClient, catalog: Catalog) -> None:
    vector = catalog.get("images").embed_text("a cat")
    (found,) = ask(client, queries=[{"embedding": (7 * vector).tolist()}], k=6)
    assert ids(found) == exact(catalog, "images", vector, 6)


def test_columns_limit_the_record_and_not_its_picture(client: TestClient) -> None:
    whole = client.get("/search", params={"q": "a cat", "k": 4}).json()["hits"]
    some = client.get("/search", params={"q": "a cat", "k": 4, "columns": "group,caption"}).json()["hits"]
    for one, other in zip(some, whole, strict=True):
        assert one["record"] == {name: other["record"][name] for name in ("group", "caption")}
        assert [one[key] for key in ("title", "picture", "score")] == [
            other[key] for key in ("title", "picture", "score")
        ]


def test_facets_count_the_values_of_the_best_hits(client: TestClient) -> None:
    parameters = {"q": "a cat", "index": "words", "where": "n < 4"}
    records = [hit["record"] for hit in client.get("/search", params={**parameters, "k": 100}).json()["hits"]]
    answer = client.get("/search", params={**parameters, "k": 2, "facets": "n"}).json()
    TypeAdapter(SearchAnswer).validate_python(answer, strict=True)
    facet, expected = answer["facets"]["n"], Counter(record["n"] for record in records)
    assert {one["value"]: one["count"] for one in facet["values"]} == expected
    assert facet["hits"] == len(records) and facet["others"] == 0
    assert [one["count"] for one in facet["values"]] == sorted(expected.values(), reverse=True)


@pytest.mark.parametrize("way", ["parameter", "header"])
def test_hits_come_as_lines_csv_and_arrow_too(client: TestClient, way: str) -> None:
    def get(format: str, kind: str) -> bytes:
        path, headers = "/search?q=a+cat&k=5&index=words&columns=text,n", {}
        if way == "parameter":
            path += f"&format={format}"
        else:
            headers = {"accept": f"text/html, {kind};q=0.9"}
        answer = client.get(path, headers=headers)
        assert answer.headers["content-type"].startswith(kind), answer.text
        return answer.content

    hits = client.get("/search?q=a+cat&k=5&index=words&columns=text,n").json()["hits"]
    expected = [("a cat", "words", hit["rank"], hit["record"]["text"], hit["record"]["n"]) for hit in hits]
    keys = ("query", "index", "rank", "text", "n")
    lines = [json.loads(line) for line in get("jsonl", "application/x-ndjson").splitlines()]
    assert [tuple(line[key] for key in keys) for line in lines] == expected
    table = pa.ipc.open_stream(get("arrow", "application/vnd.apache.arrow.stream")).read_all()
    assert table.schema.field("n").type == pa.int32()
    assert [tuple(row[key] for key in keys) for row in table.to_pylist()] == expected
    rows = list(csv.DictReader(io.StringIO(get("csv", "text/csv").decode())))
    assert [(r["query"], r["index"], int(r["rank"]), r["text"], int(r["n"])) for r in rows] == expected


def test_several_indices_fit_into_one_table(client: TestClient) -> None:
    body = {"queries": [{"text": "a cat"}], "indices": ["images", "words"], "k": 3}
    table = pa.ipc.open_stream(client.post("/query?format=arrow", json=body).content).read_all()
    assert table.column("index").to_pylist() == ["images"] * 3 + ["words"] * 3
    assert {"caption", "text", "n"} <= set(table.column_names)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "'queries' is missing."),
        ({"queries": []}, "'queries' is list"),
        ({"queries": [{"text": "a"}] * 33}, "at most 32"),
        ({"queries": [{}]}, "found none"),
        ({"queries": [{"text": "a", "like": "b"}]}, "found text and like"),
        ({"queries": [{"text": " "}]}, "is empty"),
        ({"queries": [{"terms": []}]}, "'terms' is empty"),
        ({"queries": [{"terms": [{"text": "a", "weight": -1}]}]}, "at least one term that is wanted"),
        ({"queries": [{"text": "a", "wieght": 2}]}, "There is no 'wieght' here."),
        ({"queries": [{"text": "\ud800"}]}, "not JSON"),
        ({"queries": [{"text": "a", "weight": "2"}]}, "'weight' is '2'"),
        ({"queries": [{"embedding": [1.0]}]}, "must be 256 finite numbers"),
        ({"queries": [{"image": "??"}]}, "is not base64"),
        ({"queries": [{"image_url": "http://127.0.0.1/"}]}, "opens no addresses for others"),
        ({"queries": [{"text": "a"}], "k": 201}, "at most 200"),
        ({"queries": [{"text": "a"}], "k": True}, "'k' is bool"),
        ({"queries": [{"text": "a"}], "indices": ["none"]}, "There is no index 'none'"),
        ({"queries": [{"text": "a"}], "columns": ["colour"]}, "colour"),
        ({"queries": [{"text": "a"}], "facets": ["colour"]}, "colour"),
        ({"queries": [{"text": "a"}], "where": "m = 1"}, "m"),
    ],
)
def test_what_cannot_be_answered_is_said(client: TestClient, body: dict[str, Any], sentence: str) -> None:
    answer = client.post("/query", content=json.dumps(body))
    assert answer.status_code in (400, 404), answer.text
    assert sentence in answer.json()["message"] and answer.json()["code"] in ("bad_request", "not_found")


def test_an_unknown_format_is_refused(client: TestClient) -> None:
    answer = client.get("/search?q=a&format=xml")
    assert answer.status_code == 400 and "json, jsonl, csv, arrow" in answer.json()["message"]


@pytest.mark.parametrize("path", ["/", "/search?q=a+cat&k=2", "/health", "/picture/none", "/static/main.js"])
def test_head_says_what_get_says_without_its_body(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert head.status_code == get.status_code and head.content == b""
    if "search" not in path:  # its seconds differ
        assert head.headers["content-length"] == get.headers["content-length"]


def test_requests_are_counted_by_path_and_status(catalog: Catalog, client: TestClient) -> None:
    before = client.get("/metrics").text
    for path in ("/search?q=a+cat", "/search?q=", "/nowhere/1", "/nowhere/2"):
        client.get(path)
    after = client.get("/metrics").text

    def count(text: str, labels: str) -> float:
        lines = [line for line in text.splitlines() if line.startswith(f"clip_spark_requests_total{{{labels}}}")]
        return float(lines[0].split()[-1]) if lines else 0.0

    for labels, more in (('path="/search",status="200"', 1), ('path="/search",status="400"', 1)):
        assert count(after, labels) - count(before, labels) == more
    assert 'path="other",status="404"' in after and "/nowhere" not in after
    summary = client.get("/metrics-summary").text
    assert "calls to the knn end point" in summary and "knn_index_time" in summary


def test_the_front_learns_where_its_server_is(client: TestClient) -> None:
    config = client.get("/config.json").json()
    TypeAdapter(FrontConfig).validate_python(config, strict=True)
    assert config == {"defaultBackend": "http://127.0.0.1:8000/", "defaultIndex": "images", "urlColumn": "url"}
