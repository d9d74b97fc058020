"""*Driver.* A job of one small task, in a process of its own: starting Spark would take longer than all of it.

What Spark would do about a failure stays Spark's: if the process dies, or fails for a reason that another try may mend,
the task is left to it.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from clip_spark.errors import UserError
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
    context = multiprocessing.get_context("spawn")  # a fork of a process with Arrow's threads can hang
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, work, item), name=step)
    process.start()
    theirs.close()
    try:
        with ours, suppress(EOFError):
            done, message = ours.recv()
            if message:
                raise UserError(message)
            if done:
                return True
        process.join()
        log.info("%s: a process of its own has failed (exit status %s); Spark tries it", step, process.exitcode)
        return False
    except KeyboardInterrupt:
        process.terminate()
        raise
    finally:
        process.join()


def _work(asked: Connection, work: Callable[[Any], object], item: Any) -> None:
    """In the process: whether the work is done, and what the user has done wrong."""
    try:
        work(item)
        answer = True, ""
    except UserError as error:
        answer = False, str(error)
    except KeyboardInterrupt:
        return
    except Exception as error:  # noqa: BLE001 - Spark's try of it will say what is wrong
        log.info("%s", error)
        answer = False, ""
    asked.send(answer)
