"""*Driver.* A progress bar on a terminal, plain log lines elsewhere, fed by Spark's status tracker."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
LOG_SECONDS = 15.0


@contextmanager
def watch_progress(context: Any, step: str, total: int) -> Iterator[None]:
    """*Driver.* Show how many of `total` tasks of the job group `step` are done while the block runs.

    The thread is a daemon and is joined at the end: it can never keep a failed driver alive.
    """
    from tqdm import tqdm

    stop = threading.Event()
    on_terminal = sys.stderr.isatty()
    bar = tqdm(total=total, desc=step, unit="shard", disable=not on_terminal, leave=False)

    def poll() -> None:
        logged = 0.0
        waited = 0.0
        while not stop.wait(POLL_SECONDS):
            waited += POLL_SECONDS
            done = min(done_tasks(context, step), total)
            bar.update(done - bar.n)
            if not on_terminal and waited - logged >= LOG_SECONDS:
                logged = waited
                log.info("%s: %d of %d shards, %.0f s", step, done, total, waited)

    thread = threading.Thread(target=poll, name=f"progress-{step}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)
        bar.close()


def done_tasks(context: Any, group: str) -> int:
    """*Driver.* Tasks of a job group's jobs, finished ones too, that are done."""
    tracker = context.statusTracker()
    done = 0
    for job in tracker.getJobIdsForGroup(group):
        info = tracker.getJobInfo(job)
        stages = [tracker.getStageInfo(stage) for stage in (info.stageIds if info else [])]
        done += sum(stage.numCompletedTasks for stage in stages if stage is not None)
    return done
