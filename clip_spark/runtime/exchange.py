"""*Driver.* Tasks that deal their results out to other tasks: on Spark, or in processes of this machine.

Where Spark would be started on this machine for one step, a JVM only passes bytes from one Python process to the next:
it takes ten seconds of CPU and some hundred MB.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from clip_spark.runtime.exchange_here import Here
from clip_spark.runtime.memory import Tidied
from clip_spark.runtime.processes import ProcessFailed
from clip_spark.runtime.session import LateSession, SessionSource
from clip_spark.runtime.tasks import collect, run_shards, spread

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

Deal = Callable[[Any], Iterator[tuple[int, Any]]]
"""*Worker.* An item -> what each part gets of it, with the part's number."""
Gather = Callable[[int, Iterable[tuple[int, Any]]], Iterator[Any]]
"""*Worker.* A part's number, and all that it got in any order -> a few small results."""
MOST_ITEMS = 4096
"""Of more, each of which sends something to as many parts, the files would be too many for one machine."""


class Shared(Protocol):
    """*Worker.* A value that all tasks need; picklable, unlike the value."""

    @property
    def value(self) -> Any:
        """The value."""


class Exchange(Protocol):
    """*Driver.* Where the tasks of a step run."""

    def share(self, value: Any) -> Shared:
        """Bring a value to all tasks that come."""

    def each(self, items: Sequence[Any], work: Callable[[Any], object]) -> None:
        """Run `work` once for each item; see tasks.run_shards."""

    def deal(self, items: Sequence[Any], deal: Deal, parts: int, gather: Gather) -> list[Any]:
        """What `gather` makes of the parts that `deal` makes of the items; both are picklable."""


@dataclass(frozen=True)
class OnSpark:
    """*Driver.* The tasks of a step as Spark's; an Exchange."""

    spark: SparkSession
    step: str

    def share(self, value: Any) -> Shared:
        """A broadcast."""
        return self.spark.sparkContext.broadcast(value)

    def each(self, items: Sequence[Any], work: Callable[[Any], object]) -> None:
        """One stage."""
        run_shards(self.spark, self.step, items, work)

    def deal(self, items: Sequence[Any], deal: Deal, parts: int, gather: Gather) -> list[Any]:
        """Two stages, with a shuffle between them."""
        spread_out = spread(self.spark, items)
        dealt = spread_out.flatMap(Tidied(deal)).partitionBy(parts, int)
        return collect(
            self.spark, self.step, dealt.mapPartitionsWithIndex(Tidied(gather)), spread_out.getNumPartitions() + parts
        )


def done_here(get_spark: SessionSource, step: str, items: int, work: Callable[[Exchange], object]) -> bool:
    """*Driver.* Do a step in processes of this machine.

    Args:
        get_spark: starts Spark; only where it would do so on this machine, and nobody has asked anything of it.
        step: for the log and the progress line.
        items: how many there are at most.
        work: may be called again, with another exchange, after a failure.

    Returns:
        false if Spark has to do it.

    Raises:
        UserError: a task found a mistake that no other try can mend.
    """
    if items > MOST_ITEMS or not (isinstance(get_spark, LateSession) and get_spark.would_start()):
        return False
    try:
        with Here(step, items) as exchange:
            work(exchange)
    except ProcessFailed as error:
        log.info("%s: without Spark it failed (%s); Spark tries it", step, error)
        return False
    return True
