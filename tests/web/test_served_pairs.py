"""Pictures and their prompts side by side: the API gives both of each hit, and ranks by both; the page shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from clip_spark.search.searcher import Searcher
from clip_spark.web.app import create_app
from clip_spark.web.catalog import Catalog
from clip_spark.web.guard import Rules
from clip_spark.web.origins import names_on
from tests.helpers_web import PICTURES, make_pair
from tests.web.browser import needs_browser
from tests.web.served import served


@pytest.fixture(scope="module")
def uris(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def client(uris: dict[str, str]) -> Iterator[TestClient]:
    app = create_app(Catalog.open(uris), Rules(names_on("127.0.0.1"), most_bytes=1 << 20), max_k=200)
    with TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        yield client


def hits(client: TestClient, **parameters: Any) -> list[dict[str, Any]]:
    answer = client.get("/search", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["hits"]


def test_the_server_sees_that_two_indices_are_a_pair(client: TestClient) -> None:
    assert {one["name"]: one["pairs"] for one in client.get("/indices").json()} == {
        "images": ["prompts"],
        "prompts": ["images"],
    }


def test_each_hit_brings_the_record_of_the_other_side(client: TestClient) -> None:
    for hit in hits(client, q="a dog", index="images", pair="prompts", k=PICTURES):
        assert hit["pair"]["record"]["record_id"] == hit["record"]["record_id"]
        assert hit["pair"]["title"] == f"a drawing of {hit['record']['caption']}"
    found = hits(client, q="a prompt", index="prompts", pair="images", k=PICTURES + 1, thumbnails=3)
    alone = [hit for hit in found if hit["pair"] is None]
    assert [hit["title"] for hit in alone] == ["a prompt without a picture"]
    assert all(hit["pair"]["thumbnail"].startswith("data:image/") for hit in found[:3] if hit["pair"])


def test_one_ranking_of_both_is_the_mixture_of_their_scores(client: TestClient, uris: dict[str, str]) -> None:
    sides = [Searcher.open(uris[name]) for name in ("images", "prompts")]
    vector = sides[0].embed_text("a red car")
    scores = [{hit.record["record_id"]: hit.score for hit in side.search_embedding(vector, 200)} for side in sides]
    expected = {key: 0.7 * scores[0][key] + 0.3 * scores[1][key] for key in scores[0]}
    order = sorted(expected, key=lambda key: -expected[key])
    found = hits(client, q="a red car", index="images", pair="prompts", both_weight=0.3, k=10, offset=5)
    assert [hit["record"]["record_id"] for hit in found] == order[5:15]
    np.testing.assert_allclose([hit["score"] for hit in found], [expected[key] for key in order[5:15]], atol=1e-4)
    assert [hit["rank"] for hit in found] == list(range(6, 16))


def test_a_record_of_both_sides_is_no_hit_of_itself(client: TestClient) -> None:
    (own,) = hits(client, q="a dog", k=1)
    found = hits(client, like=own["record"]["record_id"], pair="prompts", both_weight=0.5, k=PICTURES)
    assert len(found) == PICTURES - 1 and own["record"]["record_id"] not in {h["record"]["record_id"] for h in found}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pair": "images"}, "is the index that is searched"),
        ({"both_weight": 0.5}, "name the other one with 'pair'"),
        ({"pair": "prompts", "both_weight": 0.5, "unique": 0.9}, "goes neither with 'unique'"),
        ({"pair": "prompts", "both_weight": 0.5, "where": "caption = 'x'"}, "no such column"),
    ],
)
def test_what_does_not_fit_is_one_sentence(client: TestClient, parameters: dict[str, Any], message: str) -> None:
    answer = client.get("/search", params={"q": "a", **parameters})
    assert answer.status_code == 400 and message in answer.json()["message"]


def test_queries_of_several_terms_and_records_are_ranked_by_both_too(client: TestClient) -> None:
    asked = {"k": 4, "indices": ["images"], "pair": "prompts", "both_weight": 0.3}
    (own,) = hits(client, q="a dog", k=1)
    like = {"like": own["record"]["record_id"]}
    terms = {"terms": [{"text": "a dog"}, {**like, "weight": 0.5}]}
    answer = client.post("/query", json={**asked, "queries": [{"text": "a dog"}, like, terms]})
    assert answer.status_code == 200, answer.text
    words, record, mixed = (one["hits"] for one in answer.json()["answers"])
    assert words == hits(client, q="a dog", k=4, pair="prompts", both_weight=0.3)
    assert record == hits(client, **like, k=4, pair="prompts", both_weight=0.3)
    assert own["record"]["record_id"] == mixed[0]["record"]["record_id"] and mixed[0]["pair"]["title"]
    refused = client.post("/query", json={**asked, "pair": "images", "queries": [{"text": "a dog"}]})
    assert refused.status_code == 400 and "is the index that is searched" in refused.json()["message"]


@needs_browser
def test_the_page_shows_both_and_ranks_by_both(browser: Any, uris: dict[str, str], tmp_path: Path) -> None:
    with served(uris, tmp_path / "log") as url:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{url}/?q=dog&index=prompts")
        page.wait_for_selector("#results li.row .beside img")
        assert page.locator("#results li.row:has(.beside) .text").first.inner_text().startswith("a drawing of")
        page.goto(f"{url}/?q=dog&index=images")
        page.wait_for_selector("#results li.card:not(.ghost)")
        assert page.locator("#results li.card .caption span").first.inner_text().startswith("a drawing of")
        page.get_by_role("button", name="Rank by picture and text").click()
        page.wait_for_selector("#options [aria-pressed=true]")
        page.wait_for_selector("#results li.card:not(.ghost)")
        assert "both=0.5" in page.url and page.locator("#error:not([hidden])").count() == 0
        page.close()
