"""Links on a web of loopback: each ends with the status that it should have, politely and in bounded time."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from clip_spark.pictures.download.crawl import run
from clip_spark.pictures.download.links import Link
from clip_spark.pictures.download.outcomes import Outcome
from clip_spark.pictures.download.specs import DownloadSpec
from tests.services.faulty_links import HOSTS, WANTED, links, only_loopback_is_public
from tests.services.faulty_links import fetch as fetch_all
from tests.services.picture_web import PictureWeb, picture_web


@pytest.fixture(scope="module")
def web() -> Iterator[PictureWeb]:
    with picture_web() as found:
        yield found


def spec(**options: Any) -> DownloadSpec:
    return DownloadSpec(records="r", output="o", **{"allow_private": True, "timeout": 5.0, "tries": 2, **options})


def fetch(urls: list[str], **options: Any) -> list[Outcome]:
    found: list[Outcome] = []
    run(spec(**options), [Link(number, url) for number, url in enumerate(urls)], 2, found.append)
    assert sorted(outcome.position for outcome in found) == list(range(len(urls)))
    return sorted(found, key=lambda outcome: outcome.position)


STATUSES = {
    "404": "http 404",
    "html": "not a picture",
    "empty": "not a picture",
    "cut": "not a picture",
    "small": "too small",
    "bomb": "too large",
    "large": "too large",
    "endless": "too large",
    "lying": "broken answer",
    "reset": "broken answer",
    "noai": "opted out",
    "aipref": "opted out",
    "tdm": "opted out",
    "loop": "redirect",
    "onward": "redirect",
    "ftp": "no link",
    "silent": "timeout",
    "loris": "timeout",
    "moved": "ok",
    "agent": "ok",
    "busy": "ok",
    "ill": "ok",
}


def test_each_fault_has_its_status(web: PictureWeb) -> None:
    names = list(STATUSES)
    urls = [web.url(f"/fault/{name}/{number}") for number, name in enumerate(names)]
    found = fetch(urls, min_image_size=50, max_bytes="1M")
    assert {name: outcome.status for name, outcome in zip(names, found, strict=True)} == STATUSES
    assert all(outcome.message for outcome in found if not outcome.is_ok)
    assert all(outcome.data for outcome in found if outcome.is_ok)
    at = names.index("loop")
    assert web.asked[f"/fault/loop/{at}"] == 1 and "lead back to" in str(found[at].message)


def test_what_may_pass_is_tried_again_and_what_may_not_is_not(web: PictureWeb) -> None:
    gone, ill, busy = fetch([web.url("/fault/404/90"), web.url("/fault/ill/91"), web.url("/fault/busy/92")])
    assert (gone.tries, ill.tries, busy.tries) == (1, 2, 2)


def test_unreachable_hosts_and_odd_links(web: PictureWeb) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{closed.getsockname()[1]}/a.jpg"
        urls = [refused, "http://no.such.name.invalid/a.jpg", web.url("/ok/1.jpg").replace("http:", "https:")]
        urls += ["", "ftp://a/b", "no link at all", "http://[::1", "http://a:99999/"]
        found = fetch(urls)
    assert [outcome.status for outcome in found] == ["refused", "dns", "tls", *["no link"] * 5]


def test_addresses_that_are_not_public_are_refused_also_behind_redirects_and_names(web: PictureWeb) -> None:
    urls = [web.url("/ok/1.jpg"), web.url("/ok/1.jpg", "localhost"), "http://[::ffff:127.0.0.1]/", "http://2130706433/"]
    *found, number = fetch(urls, allow_private=False)
    assert [outcome.status for outcome in found] == ["blocked address"] * 3
    assert number.status in ("blocked address", "no link")  # as the URL parser sees it


def test_a_dead_host_is_given_up_and_the_others_are_done(web: PictureWeb) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.3", 0))
        dead = f"http://127.0.0.3:{closed.getsockname()[1]}"
        urls = [f"{dead}/{number}.jpg" for number in range(300)] + [web.url(f"/ok/{n}.jpg") for n in range(50)]
        found = fetch(urls)
    assert Counter(outcome.status for outcome in found) == {"refused": 300, "ok": 50}
    assert sum(outcome.tries for outcome in found[:300]) < 60


def test_one_host_is_asked_by_few_at_once_and_the_agent_is_honest(web: PictureWeb) -> None:
    web.busiest.clear()
    web.agents.clear()
    urls = [web.url(f"/ok/{n}.jpg", f"127.0.0.{2 + n % 2}") for n in range(120)]
    fetch(urls, host_connections=3, contact="me@example.org")
    assert web.busiest["127.0.0.2"] <= 3 and web.busiest["127.0.0.3"] <= 3
    assert len(web.agents) == 1 and "clip-spark/" in (agent := web.agents.pop()) and "(+me@example.org)" in agent


def test_tasks_at_the_same_time_share_what_a_host_allows(web: PictureWeb) -> None:
    web.busiest.clear()
    found: list[Outcome] = []
    links = [Link(n, web.url(f"/ok/{n}.jpg", "127.0.0.2")) for n in range(30)]
    run(spec(host_connections=4), links, 2, found.append, tasks=3)
    assert len(found) == 30 and web.busiest["127.0.0.2"] == 1
    web.robots["127.0.0.4"] = b"User-agent: *\nCrawl-delay: 200\n"
    found = []
    run(spec(), [Link(n, web.url(f"/ok/{n}.jpg", "127.0.0.4")) for n in range(2)], 2, found.append, tasks=4)
    assert {outcome.position: outcome.status for outcome in found} == {0: "ok", 1: "robots"}
    del web.robots["127.0.0.4"]


def test_robots_are_asked_once_and_obeyed(web: PictureWeb) -> None:
    web.robots["127.0.0.4"] = b"User-agent: *\nDisallow: /ok/1\nAllow: /ok/11.jpg\nContent-Usage: /ok/2 train-ai=n\n"
    web.asked.clear()
    urls = [web.url(f"/ok/{n}.jpg", "127.0.0.4") for n in (1, 11, 2, 3)]
    assert [o.status for o in fetch(urls)] == ["robots", "ok", "opted out", "ok"]
    assert web.asked["/robots.txt"] == 1 and not web.asked["/ok/1.jpg"] and not web.asked["/ok/2.jpg"]
    assert [o.status for o in fetch(urls, robots=False, aipref=False)] == ["ok"] * 4
    del web.robots["127.0.0.4"]


def test_a_crawl_delay_is_kept_and_what_would_take_too_long_is_left(web: PictureWeb) -> None:
    web.robots["127.0.0.4"] = b"User-agent: *\nCrawl-delay: 300\n"
    found = fetch([web.url(f"/ok/{n}.jpg", "127.0.0.4") for n in range(1)], connections=4)
    assert found[0].status == "ok"
    web.robots["127.0.0.4"] = b"User-agent: *\nCrawl-delay: 0.3\n"
    web.times.clear()
    fetch([web.url(f"/ok/{n}.jpg", "127.0.0.4") for n in range(4)])
    times = web.times["127.0.0.4"][1:]
    assert all(after - before >= 0.25 for before, after in zip(times, times[1:], strict=False))
    del web.robots["127.0.0.4"]


def test_hashes_and_block_lists(web: PictureWeb, tmp_path: Any) -> None:
    import hashlib

    from tests.services.picture_web import picture

    digests = [hashlib.new(name, picture(number)).hexdigest() for number, name in enumerate(["md5", "sha1", "sha256"])]
    (tmp_path / "block.txt").write_text(f"# bad\n{digests[2].upper()}\n")
    links = [Link(n, web.url(f"/ok/{n}.jpg"), digest) for n, digest in enumerate(digests)]
    links.append(Link(3, web.url("/ok/3.jpg"), digests[0]))
    found: list[Outcome] = []
    run(spec(block_list=(str(tmp_path / "block.txt"),)), links, 2, found.append)
    by_position = {outcome.position: outcome for outcome in found}
    assert [by_position[n].status for n in range(4)] == ["ok", "ok", "blocked by list", "hash differs"]
    assert not by_position[2].data and by_position[2].sha256 is None and "'block.txt'" in str(by_position[2].message)


def test_a_web_of_faults_leaves_no_link_unexplained() -> None:
    with picture_web(HOSTS) as faulty, only_loopback_is_public():
        became, _ = fetch_all(list(links(faulty, 200)), timeout=3.0)
    assert became.total() == 200 and {fault for fault, _ in became} == WANTED.keys() and became["ok", "ok"]
    assert all(status in (WANTED[fault][0], "timeout") for fault, status in became)  # on a busy machine all may be late
