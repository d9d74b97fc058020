"""`clip-spark mcp`: the official client asks for what the page asks for, and gets the same hits and sentences."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog

mcp = pytest.importorskip("mcp", reason="needs mcp: pip install 'clip-spark[mcp]'")


class Agent:
    """An official client that is connected to the tools for as long as the tests of this module run."""

    def __init__(self, portal: BlockingPortal, client: Any) -> None:
        self._portal, self._client = portal, client

    def tools(self) -> list[Any]:
        return list(self._portal.call(self._client.list_tools).tools)

    def call(self, name: str, **arguments: Any) -> Any:
        return self._portal.call(self._client.call_tool, name, arguments)

    def told(self, name: str, **arguments: Any) -> Any:
        answer = self.call(name, **arguments)
        assert not answer.is_error, answer.content
        return json.loads(answer.content[0].text)

    def refused(self, name: str, **arguments: Any) -> str:
        answer = self.call(name, **arguments)
        assert answer.is_error
        return str(answer.content[0].text)


@contextmanager
def connected(server: Any) -> Iterator[Agent]:
    with start_blocking_portal() as portal:
        client = mcp.Client(server)
        with portal.wrap_async_context_manager(client):
            yield Agent(portal, client)


@pytest.fixture(scope="module")
def agent(catalog: Catalog) -> Iterator[Agent]:
    from clip_spark.web.agent_tools import agent_server

    with connected(agent_server(create_app(catalog, max_k=1_050))) as agent:
        yield agent


def test_an_agent_finds_what_the_api_finds(agent: Agent, client: TestClient) -> None:
    found = agent.told("search", words="a dog", index="images", k=5)
    there = client.get("/search", params={"q": "a dog", "index": "images", "k": 5}).json()
    assert [(hit["record"]["record_id"], hit["score"]) for hit in found["hits"]] == [
        (hit["record"]["record_id"], hit["score"]) for hit in there["hits"]
    ]
    assert not {"picture", "thumbnail"} & found["hits"][0].keys()


def test_it_learns_what_there_is_then_looks_tags_and_counts(agent: Agent, client: TestClient) -> None:
    listed = agent.told("list_indices")
    assert [one["name"] for one in listed["indices"]] == ["images", "words"] and listed["maps"][0]["name"] == "emoji"
    card = agent.told("describe_index", index="images")
    assert (card["kind"], card["model"], len(card["sample"])) == ("image", "demo", 5)
    record = card["sample"][0]
    assert agent.told("look_up", record_id=record["record_id"], index="images") == record
    tags = agent.told("tag", record_id=record["record_id"], pictures="images", texts="words", k=3)
    there = client.get("/search", params={"like": record["record_id"], "of": "images", "index": "words", "k": 3}).json()
    assert [hit["title"] for hit in tags["hits"]] == [hit["title"] for hit in there["hits"]]
    counted = agent.told("count_values", words="a dog", columns=["kind"], index="images")
    assert counted["kind"]["values"][0]["value"] == "image"


def test_it_sees_a_picture_and_searches_with_it(agent: Agent) -> None:
    record_id = agent.told("describe_index", index="images")["sample"][2]["record_id"]
    shown = agent.call("show_picture", record_id=record_id, index="images").content[0]
    assert shown.mime_type.startswith("image/") and len(base64.b64decode(shown.data)) > 100
    found = agent.told("search_by_picture", picture=shown.data, index="images", k=1)
    assert found["hits"][0]["record"]["record_id"] == record_id
    assert (
        agent.told("similar", record_id=record_id, index="images", k=3)["hits"][0]["record"]["record_id"] != record_id
    )


def test_it_reads_a_map(agent: Agent) -> None:
    regions = agent.told("map_regions", map="emoji", zoom=20)
    assert regions["zooms"] >= 1 and regions["regions"]
    placed = agent.told("place_on_map", map="emoji", words="a dog", k=4)
    assert len(placed["hits"]) == 4 and isinstance(placed["x"], float)


def test_refusals_are_the_sentences_of_the_api(agent: Agent) -> None:
    assert "There is no index 'nope'" in agent.refused("search", words="a", index="nope")
    assert "There is no map" in agent.refused("map_regions", map="nope")
    assert "nothing called '../card'" in agent.refused("map_regions", map="../card")
    assert "is no base64" in agent.refused("search_by_picture", picture="***")
    assert "The condition cannot be used" in agent.refused("search", words="a", where="delete from records")
    assert agent.refused("search", words="a", k=51)
    assert agent.refused("look_up", record_id="never", index="images")


def test_tools_say_that_they_only_read(agent: Agent) -> None:
    for tool in agent.tools():
        assert tool.annotations.read_only_hint and not tool.annotations.open_world_hint, tool.name
        assert tool.description and tool.description.endswith("."), tool.name


NAMES = st.sampled_from(["", "images", "words", "emoji", "../..", "a\x00b", "%2e%2e", "é" * 40])
TEXTS = st.one_of(NAMES, st.text(max_size=30))
VALUES = {
    "string": TEXTS,
    "integer": st.integers(-3, 60),
    "number": st.one_of(st.floats(-1, 2, allow_nan=False), st.just(0.95)),
    "array": st.lists(st.one_of(st.just("kind"), TEXTS), max_size=3),
}
ODD = st.one_of(st.none(), st.booleans(), st.integers(), TEXTS, st.lists(st.integers(), max_size=2))
SENTENCES = (
    "There is",
    "must",
    "Input should",
    "should have",
    "Field required",
    "Give",
    "empty",
    "no ",
    "not ",
    "than",
)


@pytest.mark.parametrize("number", range(11))
def test_whatever_an_agent_sends_it_gets_an_answer_or_a_sentence(agent: Agent, number: int) -> None:
    tool = agent.tools()[number]
    right = {name: VALUES[schema["type"]] for name, schema in tool.input_schema["properties"].items()}

    @settings(max_examples=25, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries(right), st.dictionaries(st.sampled_from([*right, "other"]), ODD, max_size=2))
    def try_one(arguments: dict[str, Any], odd: dict[str, Any]) -> None:
        answer = agent.call(tool.name, **{**arguments, **odd})
        if answer.is_error:
            said = answer.content[0].text
            assert any(word in said for word in SENTENCES), said
            assert "Traceback" not in said and "clip_spark/" not in said

    try_one()


def test_the_command_speaks_over_standard_input_and_output(indices: dict[str, str]) -> None:
    from mcp.client.stdio import StdioServerParameters

    command = ["-m", "clip_spark.jobs.mcp", "--index", f"pictures={indices['images']}"]
    with connected(StdioServerParameters(command=sys.executable, args=command)) as agent:
        assert agent.told("list_indices")["indices"][0]["name"] == "pictures"
        assert len(agent.told("search", words="a dog", k=2)["hits"]) == 2
