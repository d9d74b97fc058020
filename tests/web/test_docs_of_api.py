"""The requests and answers that the documentation shows are those of the server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter

from clip_spark.web.answers import QueryAnswer, SearchAnswer

SECTION = (
    (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text().split("## The API")[1].split("\n## ")[0]
)
ANSWERS = [json.loads(block) for block in re.findall(r"```json\n(.+?)```", SECTION, re.DOTALL)]
GET = re.search(r"'http://127.0.0.1:8000(/search\?q=[^']+)'", SECTION)
BODY = re.search(r"/query -d '(.+?)'\n", SECTION, re.DOTALL)


def shape(value: Any) -> Any:
    """Keys and types, of lists that of their first entry."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(value[0])] if isinstance(value, list) else type(value)


@pytest.mark.parametrize("number", [0, 1])
def test_samples_are_what_the_server_says(client: TestClient, number: int) -> None:
    assert GET and BODY and len(ANSWERS) == 2
    TypeAdapter([SearchAnswer, QueryAnswer][number]).validate_python(ANSWERS[number], strict=True)
    answer = client.get(GET[1]) if number == 0 else client.post("/query", content=BODY[1])
    assert answer.status_code == 200, answer.text
    assert shape(answer.json()) == shape(ANSWERS[number])


def test_every_route_is_named(client: TestClient) -> None:
    whole = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text()
    for path in client.get("/openapi.json").json()["paths"]:
        assert path.split("/{")[0] in whole
