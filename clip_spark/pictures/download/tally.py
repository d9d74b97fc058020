"""*Worker.* What a receipt counts of its links: by status, host, time and size; the report needs no rows then."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from clip_spark.pictures.download.outcomes import Outcome
from clip_spark.pictures.download.statuses import BLOCKED_BY_LIST, list_of
from clip_spark.pictures.hosts import host_of
from clip_spark.runtime.row_counts import BYTES, HOST_LINKS, HOST_SECONDS, OK

STATUS, FAILED_AT, BLOCKED = "status: ", "failed at host: ", "blocked by list: "
SLOW_SECONDS, SLOW_LINKS = "slow host seconds: ", "slow host links: "
TOOK, CAME, SHOWN = "links that took: ", "files of bytes: ", "pictures of pixels: "
"""Counters of receipts begin so. After the last three stands the power of two that begins a bin: of seconds, bytes, and
pixels of the shorter side."""
SAID_BY_CLOCK = (SLOW_SECONDS, SLOW_LINKS, TOOK)
"""These another run of the same links says otherwise."""
ENOUGH_LINKS = 5
"""Before a host is called slow."""
NAMED_HOSTS = 5
"""Hosts of a shard that its receipt names, of those with most failures and of those that took most time."""
SHORTEST = 1 / 64


class Tally:
    """*Worker.* Counts outcomes."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._failed: dict[str, Counter[str]] = {}
        self._asked: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()

    def add(self, url: str, outcome: Outcome) -> None:
        """One link."""
        host = host_of(url)
        counts = self._counts
        counts[STATUS + outcome.status] += 1
        counts["pictures"] += outcome.is_stored
        counts["bytes fetched"] += outcome.bytes or 0
        if outcome.is_ok:
            counts[f"{CAME}{power(outcome.bytes or 1)}"] += 1
            counts[f"{SHOWN}{power(min(outcome.original_width or 1, outcome.original_height or 1))}"] += 1
        elif outcome.status == BLOCKED_BY_LIST:
            counts[BLOCKED + list_of(outcome.message)] += 1
        if host and not outcome.is_ok:
            self._failed.setdefault(host, Counter())[outcome.status] += 1
        if outcome.seconds is not None:
            counts[f"{TOOK}{power(max(SHORTEST, outcome.seconds))}"] += 1
            self._asked[host] += 1
            self._seconds[host] += outcome.seconds  # type: ignore[assignment]

    def counters(self) -> Mapping[str, float]:
        """For the receipt."""
        found: dict[str, float] = dict(self._counts)
        for host in sorted(self._failed, key=lambda name: -self._failed[name].total())[:NAMED_HOSTS]:
            found |= {f"{FAILED_AT}{host} {status}": number for status, number in self._failed[host].items()}
        for host, seconds in self._seconds.most_common(NAMED_HOSTS):
            found |= {SLOW_SECONDS + host: round(seconds, 3), SLOW_LINKS + host: self._asked[host]}
        return found


class Pace:
    """*Worker.* What a running task tells the driver: how many links succeeded, bytes, and its slowest host."""

    def __init__(self) -> None:
        self._ok = self._bytes = 0
        self._hosts: dict[str, tuple[int, float]] = {}

    def add(self, url: str, outcome: Outcome) -> None:
        """One link."""
        self._ok += outcome.is_ok
        self._bytes += outcome.bytes or 0
        if outcome.seconds is not None:
            links, seconds = self._hosts.get(host := host_of(url), (0, 0.0))
            self._hosts[host] = links + 1, seconds + outcome.seconds

    def figures(self) -> dict[str, float]:
        """By name, as `row_counts` adds them up over tasks."""
        found: dict[str, float] = {OK: self._ok, BYTES: self._bytes}
        known = {host: pair for host, pair in self._hosts.items() if pair[0] >= ENOUGH_LINKS and host}
        if known:
            slowest = max(known, key=lambda host: known[host][1] / known[host][0])
            found |= {f"{HOST_LINKS}{slowest[:80]}": known[slowest][0]}
            found |= {f"{HOST_SECONDS}{slowest[:80]}": round(known[slowest][1], 1)}
        return found


def power(value: float) -> int:
    """*Pure.* The largest power of two that is not above a value, by its exponent."""
    return math.floor(math.log2(value))
