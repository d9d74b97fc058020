"""How long a person waits for the first hit: the search page in a real Chromium, over loopback and over a slow network.

    make demo && python scripts/bench_page.py --index pictures=demo-out/image-index --index words=demo-out/ngram-index

For each latency (which Chromium adds to each round trip): milliseconds from Enter to the frame in which the first hit
is painted, with its picture where it has one, and from the start of a visit of an address that names a search. The
median and the worst of several searches for words that were not asked before, as JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from tests.web.browser import CHROMIUM, FLAGS  # noqa: E402
from tests.web.served import served  # noqa: E402

GOALS = {0: 300, 800: 2000}
"""Milliseconds from Enter to the first hit, by latency."""
WORDS = (
    "red flag",
    "a small cat",
    "green leaf",
    "yellow fruit",
    "a happy face",
    "blue circle",
    "two people",
    "a house",
)

PAINTED = """() => new Promise((done) => {
  const first = () => document.querySelector("#results > li:not(.ghost)");
  const whole = (item) => [...item.querySelectorAll(".frame img")].every((one) => one.complete && one.naturalWidth);
  const look = () => {
    const item = first();
    if (item && whole(item)) requestAnimationFrame(() => setTimeout(() => done(performance.now())));
    else requestAnimationFrame(look);
  };
  look();
})"""
"""Resolves after the frame that shows the first hit, with the milliseconds since the page's visit began."""

ENTERED = """(words) => {
  const field = document.getElementById("words");
  field.value = words;
  const start = performance.now();
  document.getElementById("form").requestSubmit();
  return start;
}"""


def fresh_page(browser: Any, latency: float) -> Any:
    """A page without a cache, behind a network of that latency in milliseconds."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    conditions = {"offline": False, "latency": latency, "downloadThroughput": -1, "uploadThroughput": -1}
    network.send("Network.emulateNetworkConditions", conditions)
    return page


def after_enter(browser: Any, url: str, latency: float, index: str) -> Iterator[float]:
    """Milliseconds from Enter to the first hit, for each search of one visitor."""
    page = fresh_page(browser, latency)
    page.goto(f"{url}?index={index}")
    page.evaluate(PAINTED)
    for words in WORDS:
        start = page.evaluate(ENTERED, f"{words} {latency:g}")
        yield page.evaluate(PAINTED) - start
    page.context.close()


def visits(browser: Any, url: str, latency: float, index: str) -> Iterator[float]:
    """Milliseconds from the start of a visit of a search's address to its first hit, each by a new visitor."""
    for words in WORDS[:4]:
        page = fresh_page(browser, latency)
        page.goto(f"{url}?index={index}&q={words.replace(' ', '+')}+visit+{latency:g}", wait_until="commit")
        yield page.evaluate(PAINTED)
        page.context.close()


def figures(milliseconds: list[float]) -> dict[str, float]:
    """Median and worst."""
    return {"median_ms": round(statistics.median(milliseconds)), "worst_ms": round(max(milliseconds))}


def measure(browser: Any, url: str, names: list[str]) -> list[dict[str, Any]]:
    """A row for each index and latency."""
    rows = []
    for index in names:
        for latency, goal in GOALS.items():
            entered = figures(list(after_enter(browser, url, latency, index)))
            visited = figures(list(visits(browser, url, latency, index)))
            rows.append({"index": index, "latency_ms": latency, "goal_ms": goal, "enter": entered, "visit": visited})
    return rows


def main() -> int:
    """Serve, measure, print; exit status 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", action="append", required=True, help="NAME=URI of an index; may be repeated")
    options = parser.parse_args()
    indices = dict(one.split("=", 1) for one in options.index)
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as folder,
        served(indices, Path(folder) / "log") as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        rows = measure(browser, url, list(indices))
        browser.close()
    print(json.dumps(rows, indent=1))
    return int(any(row["enter"]["median_ms"] > row["goal_ms"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
