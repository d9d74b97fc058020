"""*Driver.* A job of one small task, in a process of its own: starting Spark would take longer than all of it.

What Spark would do about a failure stays Spark's: if the process dies, or fails for a reason that another try may mend,
the task is left to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from clip_spark.runtime.processes import Processes, ProcessFailed
from clip_spark.runtime.session import LateSession, SessionSource

log = logging.getLogger(__name__)


def may_run_alone(get_spark: SessionSource, items: Sequence[Any], is_small: Callable[[Any], bool]) -> bool:
    """*Driver.* Whether a job is one small task, and Spark would be started on this machine for it alone."""
    return len(items) == 1 and is_small(items[0]) and isinstance(get_spark, LateSession) and get_spark.would_start()


def run_alone(step: str, work: Callable[[Any], object], item: Any) -> bool:
    """*Driver.* Do a task without Spark.

    Args:
        step: what it is of, for the log.
        work: picklable; writes its shard and the receipt, and may be run again after a failure.
        item: what it gets.

    Returns:
        false if it has to be done by Spark.

    Raises:
        UserError: the task found a mistake that no retry can mend.
    """
    try:
        with Processes(1) as process:
            process.map(work, [item], lambda: None)
    except ProcessFailed as error:
        log.info("%s: a process of its own has failed (%s); Spark tries it", step, error)
        return False
    return True
