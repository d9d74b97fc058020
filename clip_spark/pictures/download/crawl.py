"""*Worker.* All links of a shard, asked for side by side; each ends as one Outcome, whatever happens."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from clip_spark.pictures.download import statuses
from clip_spark.pictures.download.block_list import (
    check_hash,
    check_not_blocked,
    check_not_like,
    read_block_lists,
    read_pdq_lists,
)
from clip_spark.pictures.download.client import Answer, Client
from clip_spark.pictures.download.frontier import PATIENCE_SECONDS, Frontier, Host, Waiting
from clip_spark.pictures.download.links import Link, check_link, origin_of
from clip_spark.pictures.download.outcomes import Outcome, now
from clip_spark.pictures.download.preferences import opted_out
from clip_spark.pictures.download.resize import Stored, to_stored
from clip_spark.pictures.download.robots import AGENT, MOST_BYTES, OPEN, Robots, parse_robots
from clip_spark.pictures.download.specs import DownloadSpec
from clip_spark.pictures.download.statuses import Failed
from clip_spark.pictures.hosts import MOST_FAILURES

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before the second try; doubled for each further one, with jitter. A server may ask for up to LONGEST_WAIT."""
DNS_THREADS = 32
"""Names are resolved by the system in threads; a dead one takes seconds."""
MOST_WAITING_BYTES = 256 << 20
"""Answers that wait to be decoded; while there are more, no further link is asked for."""


class Crawl:
    """*Worker.* Fetches links; one for each shard."""

    def __init__(self, spec: DownloadSpec, client: Client, decode_threads: int, tasks: int) -> None:
        self._spec, self._client, self._tasks = spec, client, tasks
        self._blocked, self._looks = read_block_lists(spec.block_list), read_pdq_lists(spec.block_pictures)
        self._decoders = ThreadPoolExecutor(decode_threads, thread_name_prefix="resize")
        self._robots: dict[str, asyncio.Task[Robots]] = {}
        self._waiting_bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    async def outcomes(self, links: Iterable[Link]) -> AsyncIterator[Outcome]:
        """Each link's outcome, as it comes; no order."""
        frontier = Frontier(links, max(1, self._spec.host_connections // self._tasks))
        done: asyncio.Queue[Outcome | None] = asyncio.Queue(maxsize=self._spec.connections)
        workers = [asyncio.create_task(self._work(frontier, done)) for _ in range(self._spec.connections)]
        ended = asyncio.create_task(_tell_end(workers, done))
        try:
            while (outcome := await done.get()) is not None:
                yield outcome
            await ended
        finally:
            for task in (*workers, ended, *self._robots.values()):
                task.cancel()
            self._decoders.shutdown(wait=False, cancel_futures=True)

    async def _work(self, frontier: Frontier, done: asyncio.Queue[Outcome | None]) -> None:
        while (taken := await frontier.take()) is not None:
            host, waiting = taken
            try:
                for outcome in await self._one(frontier, host, waiting):
                    await done.put(outcome)
            finally:
                frontier.give_back(host)

    async def _one(self, frontier: Frontier, host: Host, waiting: Waiting) -> list[Outcome]:
        """The outcomes of one try: none if it is to be tried again, more if its host is given up."""
        if not host.met:
            late = await self._meet(frontier, host, waiting.link)
            return [*late, *await self._one(frontier, host, waiting)]
        started = time.monotonic()
        waiting.tries += 1
        try:
            outcome = await self._fetch(waiting.link)
            host.failures = 0
            return [_with(outcome, waiting, started)]
        except Failed as error:
            return self._failed(frontier, host, waiting, error, started)

    async def _meet(self, frontier: Frontier, host: Host, link: Link) -> list[Outcome]:
        """Read the host's robots.txt for its Crawl-delay."""
        delay = 0.0
        if self._spec.robots:
            with suppress(Failed):
                delay = (await self._rules(check_link(link.url))).delay * self._tasks
        late = frontier.meet(host, delay)
        why = f"Crawl-delay {delay:g} s: its turn does not come within {PATIENCE_SECONDS:g} s; --retry-failed robots"
        return [Outcome(item.link.position, statuses.ROBOTS, why, fetched=now()) for item in late]

    def _failed(self, frontier: Frontier, host: Host, waiting: Waiting, error: Failed, started: float) -> list[Outcome]:
        host.failures = host.failures + 1 if error.reason in statuses.OF_A_HOST else 0
        if error.may_pass and waiting.tries < self._spec.tries and error.wait <= LONGEST_WAIT:
            seconds = error.wait or min(LONGEST_WAIT, FIRST_WAIT * 2 ** (waiting.tries - 1)) * random.uniform(0.5, 1.5)
            if host.failures < MOST_FAILURES:
                frontier.again(host, waiting, seconds, pause=bool(error.wait))
                return []
        found = [_with(Outcome(waiting.link.position, error.reason, error.message), waiting, started)]
        if host.failures >= MOST_FAILURES:
            why = f"not asked: {host.failures} links of this host failed one after the other; {error.message}"
            found += [
                Outcome(left.link.position, error.reason, why, left.tries, fetched=now())
                for left in frontier.give_up(host)
            ]
        return found

    async def _fetch(self, link: Link) -> Outcome:
        """One try; raises Failed."""
        url = check_link(link.url)
        await self._check_robots(url)
        await self._room.wait()
        answer = await self._client.get(url, self._spec.most_bytes)
        if header := opted_out(answer.headers, AGENT, self._spec):
            raise Failed(statuses.OPTED_OUT, header[:300])
        if answer.url != url:
            await self._check_robots(answer.url)
        stored, digest = await self._store(link, answer)
        return Outcome(
            position=link.position,
            status=statuses.OK,
            final_url=answer.url if answer.url != link.url else None,
            bytes=len(answer.data),
            sha256=digest,
            width=stored.size[0],
            height=stored.size[1],
            original_width=stored.original[0],
            original_height=stored.original[1],
            pdq=stored.pdq,
            ending=stored.ending,
            data=stored.data,
        )

    async def _store(self, link: Link, answer: Answer) -> tuple[Stored, str]:
        def work() -> tuple[Stored, str]:
            check_not_blocked(answer.data, self._blocked)
            check_hash(answer.data, link.digest)
            stored = to_stored(answer.data, self._spec)
            check_not_like(stored.pdq, self._looks, self._spec.block_distance)
            return stored, hashlib.sha256(answer.data).hexdigest()

        self._hold(len(answer.data))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._decoders, work)
        finally:
            self._hold(-len(answer.data))

    def _hold(self, size: int) -> None:
        self._waiting_bytes += size
        (self._room.clear if self._waiting_bytes > MOST_WAITING_BYTES else self._room.set)()

    async def _check_robots(self, url: str) -> None:
        if not (self._spec.robots or self._spec.aipref):
            return
        rules = await self._rules(url)
        if self._spec.robots and not rules.may_fetch(url):
            raise Failed(statuses.ROBOTS, rules.forbidden or "robots.txt disallows it")
        if self._spec.aipref and not rules.may_use(url):
            raise Failed(statuses.OPTED_OUT, "robots.txt: Content-Usage: train-ai=n")

    async def _rules(self, url: str) -> Robots:
        """The rules of a link's origin, read once."""
        origin = origin_of(url)
        if origin not in self._robots:
            self._robots[origin] = asyncio.create_task(self._read_robots(origin))
        return await asyncio.shield(self._robots[origin])

    async def _read_robots(self, origin: str) -> Robots:
        """RFC 9309 section 2.3.1: 4xx means no rules, 5xx that nothing may be asked for.

        A host that cannot be reached fails its links itself, with a better reason.
        """
        try:
            return parse_robots((await self._client.get(f"{origin}/robots.txt", MOST_BYTES)).data)
        except Failed as error:
            code = error.reason.removeprefix(statuses.HTTP + " ")
            if code.startswith("5") and len(code) == 3:
                return Robots(forbidden=f"robots.txt cannot be read: {error.message}")
            return OPEN


def _with(outcome: Outcome, waiting: Waiting, started: float) -> Outcome:
    """*Anywhere.* An outcome with its tries and times."""
    seconds = round(time.monotonic() - started, 3)
    return dataclasses.replace(outcome, tries=waiting.tries, seconds=seconds, fetched=now())


async def _tell_end(workers: list[asyncio.Task[None]], done: asyncio.Queue[Outcome | None]) -> None:
    try:
        await asyncio.gather(*workers)
    finally:
        await done.put(None)


def run(
    spec: DownloadSpec, links: Iterable[Link], decode_threads: int, take: Callable[[Outcome], None], tasks: int = 1
) -> None:
    """*Worker.* Fetch links; `take` gets each outcome, one at a time, and may take its time.

    Args:
        spec: limits and rules.
        links: of one shard.
        decode_threads: that decode and encode.
        take: called in the loop's thread.
        tasks: that ask for links at the same time; what a host allows is divided among them.
    """

    async def main() -> None:
        with ThreadPoolExecutor(DNS_THREADS, thread_name_prefix="names") as names:
            asyncio.get_running_loop().set_default_executor(names)
            async with Client(spec) as client:
                async for outcome in Crawl(spec, client, decode_threads, tasks).outcomes(links):
                    take(outcome)

    asyncio.run(main())
