"""Requests made from /openapi.json, right ones and wrong ones: an answer of the promised shape, or a 4xx."""

from __future__ import annotations

import json
from typing import Any

from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from clip_spark.web.answers import ErrorAnswer, MetadataAnswer, QueryAnswer, SearchAnswer
from clip_spark.web.maps.models import InsideAnswer, LandingAnswer

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SHAPES = {
    "/query": QueryAnswer,
    "/metadata": list[MetadataAnswer],
    "/knn-service": list[dict[str, Any]],
    "/maps/{name}/search": LandingAnswer,
    "/maps/{name}/inside": InsideAnswer,
}


def values_of(schema: dict[str, Any], depth: int = 3) -> st.SearchStrategy[Any]:
    """Values that fit a schema, and now and then one that may not."""
    kind = schema.get("type")
    if "anyOf" in schema:
        return st.one_of([values_of(one, depth) for one in schema["anyOf"]])
    if kind == "object" and "properties" in schema and depth:
        needed = schema.get("required", ())
        fields = {name: values_of(one, depth - 1) for name, one in schema["properties"].items()}
        right = st.fixed_dictionaries(
            {name: fields[name] for name in needed},
            optional={name: one for name, one in fields.items() if name not in needed},
        )
        return right | st.dictionaries(st.sampled_from([*fields, "other"]), ANYTHING, max_size=4)
    if kind == "array" and depth:
        return st.lists(values_of(schema.get("items", {}), depth - 1), max_size=4)
    plain = {
        "string": st.sampled_from(["images", "words", "image", "text", "n", "caption", "a cat", ""])
        | st.text(max_size=30),
        "integer": st.integers(-2, 60),
        "number": st.floats(-2, 2),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return plain.get(str(kind), ANYTHING) | (ANYTHING if depth == 1 else st.nothing())


def test_bodies_of_every_route_are_answered_or_refused(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    schemas = {path: paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"] for path in SHAPES}

    @FUZZ
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(SHAPES)))
        answer = client.post(path.format(name="emoji"), content=to_json(data.draw(values_of(schemas[path]))))
        check(answer, SHAPES[path])

    fuzz()


def test_parameters_of_the_search_are_answered_or_refused(client: TestClient) -> None:
    described = client.get("/openapi.json").json()["paths"]["/search"]["get"]["parameters"]
    known = {one["name"]: values_of(one["schema"]) for one in described if one["name"] not in ("q", "format")}

    @FUZZ
    @given(st.fixed_dictionaries({"q": st.text(max_size=10)}, optional=known))
    def fuzz(given_: dict[str, Any]) -> None:
        readable = {name: str(value).encode("utf-8", "replace").decode() for name, value in given_.items()}
        check(client.get("/search", params=readable), SearchAnswer)

    fuzz()


def to_json(value: Any) -> bytes:
    """As a client writes it that writes NaN and lone surrogates too."""
    return json.dumps(value).encode()


def check(answer: Any, shape: Any) -> None:
    """200 in its shape, or a 4xx in that of errors."""
    if answer.status_code == 200:
        TypeAdapter(shape).validate_python(answer.json(), strict=True)
    else:
        assert 400 <= answer.status_code < 500, answer.text
        TypeAdapter(ErrorAnswer).validate_python(answer.json(), strict=True)
