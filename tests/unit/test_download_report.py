"""The report of a download: figures that add up, hosts that failed or were slow, and a page that only shows text."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

import pytest

from clip_spark.pictures.download.outcomes import Outcome
from clip_spark.pictures.download.page import download_page
from clip_spark.pictures.download.report import refined
from clip_spark.pictures.download.statuses import blocked
from clip_spark.pictures.download.tally import Pace, Tally
from clip_spark.runtime.progress import said_of_rows

NASTY = "<script>alert(1)</script>"


def outcomes() -> list[tuple[str, Outcome]]:
    size = {"original_width": 640, "original_height": 480}
    good = [("http://a/1", Outcome(n, "ok", seconds=0.3, bytes=3000, **size)) for n in range(6)]
    bad = [(f"http://b/{n}", Outcome(n, "http 404", seconds=2.0)) for n in range(4)]
    return [*good, *bad, ("http://b/x", Outcome(0, "timeout", seconds=20.0)), ("", Outcome(0, "no link"))]


def test_what_lists_have_blocked_is_counted_by_list() -> None:
    tally = Tally()
    for number, place in enumerate(["s3://b/one.txt", "two 'x'.txt", "s3://b/one.txt"]):
        tally.add("http://a/1", Outcome(number, "blocked by list", blocked("the file is", place).message))
    found = refined({"rows_in": 3, "counters": dict(tally.counters())})
    assert found["blocked_by_list"] == {"one.txt": 2, "two 'x'.txt": 1} and found["failed_at_host"]
    assert "two &#x27;x&#x27;.txt" in download_page(found)


def report() -> dict[str, object]:
    sums: Counter[str] = Counter()
    for shard in (outcomes(), outcomes()[:3]):
        tally = Tally()
        for url, outcome in shard:
            tally.add(url, outcome)
        sums.update(tally.counters())
    return refined({"rows_in": 15, "counters": dict(sums)})


def test_the_figures_of_all_shards_add_up() -> None:
    found = report()
    assert found["by_status"] == {"ok": 9, "http 404": 4, "timeout": 1, "no link": 1} and found["rows_out"] == 9
    assert found["failed_at_host"] == {"b": {"http 404": 4, "timeout": 1}}
    assert found["slow_hosts"] == {"b": {"links": 5, "seconds": 28.0}, "a": {"links": 9, "seconds": 2.7}}
    assert found["links_by_seconds"] == {-2: 9, 1: 4, 4: 1}
    assert found["files_by_bytes"] == {11: 9} and found["pictures_by_pixels"] == {8: 9}
    assert found["counters"] == {"pictures": 9, "bytes fetched": 27_000}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        self.attributes |= {name for name, _ in attrs}


def test_the_page_shows_all_of_it_and_runs_nothing() -> None:
    found = report()
    found["failed_at_host"] = {NASTY: {NASTY: 3}}
    page = download_page(found)
    tags = Tags()
    tags.feed(page)
    assert not tags.seen["script"] and not tags.attributes & {"src", "href", "onload", "onerror"}
    assert page.count("&lt;script&gt;") == 2 and "What became of 15 links" in page
    assert tags.seen["svg"] == 4 + 3 and "250 ms to 500 ms: 9" in page and "2 kB to 4 kB: 9" in page


def test_a_download_of_nothing_has_a_page() -> None:
    page = download_page(refined({"rows_in": 1, "counters": {"status: no link": 1}}))
    assert "no link" in page and "NaN" not in page


def test_the_progress_line_says_pace_success_and_the_slowest_host() -> None:
    pace = Pace()
    for url, outcome in outcomes():
        pace.add(url, outcome)
    said = said_of_rows(12, pace.figures(), 6.0, 372)
    assert said == ["12 rows", "2 a second", "50% ok", "0.0 MB a second", "slowest: b (5.6 s)", "3 minutes left"]
    assert said_of_rows(0, {}, 1.0) == [] and said_of_rows(3, {}, 1.0, 3) == ["3 rows", "3 a second"]


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e6])
def test_any_time_has_a_bin(seconds: float) -> None:
    tally = Tally()
    tally.add("http://a/", Outcome(0, "timeout", seconds=seconds))
    assert sum(n for name, n in tally.counters().items() if name.startswith("links that took")) == 1
