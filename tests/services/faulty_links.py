"""Links of which most go wrong, each with what must become of it; and all of them fetched, shard by shard."""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from clip_spark.pictures.download import addresses
from clip_spark.pictures.download.crawl import run
from clip_spark.pictures.download.links import Link
from clip_spark.pictures.download.outcomes import Outcome
from clip_spark.pictures.download.specs import DownloadSpec
from tests.services.picture_web import PictureWeb, picture

HOSTS = 64
SHARD = 5000
WANTED = {
    "ok": ("ok", 40),
    "dead": ("dns", 4),
    "refusing": ("refused", 4),
    "loris": ("timeout", 4),
    "silent": ("timeout", 4),
    "endless": ("too large", 4),
    "lying": ("broken answer", 4),
    "reset": ("broken answer", 4),
    "loop": ("redirect", 4),
    "inward": ("blocked address", 4),
    "agent": ("ok", 4),
    "busy": ("ok", 1),
    "html": ("not a picture", 4),
    "bomb": ("too large", 4),
    "tls": ("tls", 4),
    "changing": ("hash differs", 4),
    "404": ("http 404", 3),
}
"""Fault -> what must become of the link, and its share in per cent."""
OWN_HOSTS = {"loris": 40, "silent": 44, "busy": 48}
"""Faults that are said of a whole host have four of their own, from this one on; the others share the rest."""


@dataclass(frozen=True)
class Faulty:
    """A link, its fault, and the digest that its row says."""

    url: str
    fault: str
    digest: str = ""


def links(web: PictureWeb, count: int) -> Iterator[Faulty]:
    """So many links, their faults mixed."""
    order = [name for at in range(100) for name, (_, share) in WANTED.items() if at < share]
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refusing = closed.getsockname()[1]
    for number in range(count):
        yield _link(web, order[number % len(order)], number, refusing)


def _link(web: PictureWeb, fault: str, number: int, refusing: int) -> Faulty:
    first = OWN_HOSTS.get(fault)
    host = f"127.0.0.{first + number % 4 if first else 1 + number % 39}"
    if fault == "ok":
        return Faulty(web.url(f"/ok/{number}.jpg", host), fault)
    if fault == "dead":
        return Faulty(f"http://no-such-{number % 50}.invalid/{number}.jpg", fault)
    if fault == "refusing":
        return Faulty(f"http://127.0.0.{52 + number % 8}:{refusing}/{number}.jpg", fault)
    if fault == "tls":
        return Faulty(web.url(f"/ok/{number}.jpg", host).replace("http:", "https:"), fault)
    digest = hashlib.sha256(picture(number)).hexdigest() if fault == "changing" else ""
    return Faulty(web.url(f"/fault/{fault}/{number}", host), fault, digest)


@contextmanager
def only_loopback_is_public() -> Iterator[None]:
    """As on the web: some addresses may be asked, and others, to which links may lead, may not."""
    open_ones = ipaddress.ip_network("127.0.0.0/24")
    with patch.object(addresses, "is_public", lambda address: ipaddress.ip_address(address) in open_ones):
        yield


def fetch(found: list[Faulty], timeout: float) -> tuple[Counter[tuple[str, str]], float]:
    """Fetch links in shards: (fault, status) -> links, and the seconds of the slowest shard.

    Raises AssertionError where a link has not exactly one outcome, or one without an explanation.
    """
    spec = DownloadSpec(records="r", output="o", timeout=timeout, tries=2, max_bytes="1M", connections=128)
    became: Counter[tuple[str, str]] = Counter()
    slowest = 0.0
    for start in range(0, len(found), SHARD):
        shard, started = found[start : start + SHARD], time.monotonic()
        outcomes: list[Outcome] = []
        rows = [Link(number, link.url, link.digest) for number, link in enumerate(shard)]
        run(spec, rows, 2, outcomes.append)
        slowest = max(slowest, time.monotonic() - started)
        assert sorted(outcome.position for outcome in outcomes) == list(range(len(shard)))
        assert all(outcome.message for outcome in outcomes if not outcome.is_ok)
        became.update((shard[outcome.position].fault, outcome.status) for outcome in outcomes)
    return became, slowest
