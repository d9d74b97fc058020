"""*Worker.* Which link is asked for next: fair to all hosts, slow where one asks for it, and never waiting for one.

Each host has some *turns*, as many as it may be asked at once. A heap holds the turns by the time from which they may
be taken; a worker takes the first, asks for the next link of that host, and gives the turn back.

    heap of (ready at, number, host) --take--> (host, link) --ask--> give_back(host) or again(host, link)
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from clip_spark.pictures.download.links import Link
from clip_spark.pictures.hosts import host_of

PATIENCE_SECONDS = 600.0
"""So long a shard waits for a host that wants to be asked slowly; links that would come later are left out."""


@dataclass
class Waiting:
    """A link with the tries that it has had, and from when on it may be tried again."""

    link: Link
    tries: int = 0
    ready_at: float = 0.0


@dataclass
class Host:
    """What is known of a host, and its links in their order."""

    name: str
    links: deque[Waiting] = field(default_factory=deque)
    delay: float = 0.0
    ready_at: float = 0.0
    failures: int = 0
    met: bool = False


class Frontier:
    """*Worker.* The links of a shard that are still to be asked for; used by the coroutines of one loop."""

    def __init__(self, links: Iterable[Link], turns: int) -> None:
        self._turns = turns
        self._hosts: dict[str, Host] = {}
        self._heap: list[tuple[float, int, Host]] = []
        self._numbers = itertools.count()
        self._asking = 0
        self._idle: deque[asyncio.Future[None]] = deque()
        for link in links:
            name = host_of(link.url)
            self._hosts.setdefault(name, Host(name)).links.append(Waiting(link))
        for host in self._hosts.values():
            self._push(host, 0.0)  # one turn: the first who takes it asks for robots.txt

    async def take(self) -> tuple[Host, Waiting] | None:
        """The next link and its host; None when all are done."""
        while (found := self._pop(time.monotonic())) is None:
            if not self._asking and not any(host.links for host in self._hosts.values()):
                self._wake(len(self._idle))
                return None
            sleeper = asyncio.get_running_loop().create_future()
            self._idle.append(sleeper)
            await sleeper
        self._asking += 1
        return found

    def _wake(self, number: int = 1) -> None:
        """Let idle workers look again; each turn that becomes ready wakes one."""
        while number and self._idle:
            sleeper = self._idle.popleft()
            if not sleeper.done():
                sleeper.set_result(None)
                number -= 1

    def _pop(self, now: float) -> tuple[Host, Waiting] | None:
        while self._heap and self._heap[0][0] <= now:
            host = heapq.heappop(self._heap)[2]
            if not host.links:
                continue  # this turn has nothing left to do
            ready_at = max(host.ready_at, host.links[0].ready_at)
            if ready_at > now:
                self._push(host, ready_at)
                continue
            host.ready_at = now + host.delay
            return host, host.links.popleft()
        return None

    def _push(self, host: Host, ready_at: float) -> None:
        heapq.heappush(self._heap, (ready_at, next(self._numbers), host))
        if ready_at > time.monotonic():
            asyncio.get_running_loop().call_at(ready_at, self._wake)  # the loop's clock is the same
        else:
            self._wake()

    def meet(self, host: Host, delay: float) -> list[Waiting]:
        """Its robots.txt is known: it gets the rest of its turns, or one that comes back slowly.

        Returns:
            Links that would come after PATIENCE_SECONDS; they are taken out.
        """
        host.met, host.delay = True, delay
        if not delay:
            for _ in range(min(self._turns - 1, len(host.links))):
                self._push(host, 0.0)
            return []
        kept = int(PATIENCE_SECONDS / delay)  # the first is being asked for
        late = list(host.links)[kept:]
        host.links = deque(itertools.islice(host.links, kept))
        host.ready_at = time.monotonic() + delay
        return late

    def give_back(self, host: Host) -> None:
        """A link of the host is done, well or not."""
        self._asking -= 1
        if host.links:
            self._push(host, host.ready_at)
        elif not self._asking:
            self._wake(len(self._idle))  # it may have been the last

    def again(self, host: Host, waiting: Waiting, seconds: float, pause: bool) -> None:
        """Try a link once more after some seconds; a pause is for the whole host, which asked for it."""
        waiting.ready_at = time.monotonic() + seconds
        if pause:
            host.ready_at = max(host.ready_at, waiting.ready_at)
        host.links.append(waiting)

    def give_up(self, host: Host) -> list[Waiting]:
        """Take out all links of a host that is dead."""
        left, host.links = list(host.links), deque()
        return left
