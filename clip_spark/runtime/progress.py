"""*Driver.* A progress bar on a terminal, plain log lines elsewhere, fed by Spark's status tracker and by the tasks."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clip_spark.runtime.row_counts import PROPERTY, RowsHeard

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
LOG_SECONDS = 15.0


@contextmanager
def watch_progress(context: Any, step: str, total: int) -> Iterator[None]:
    """*Driver.* Show how many of `total` tasks of the job group `step` are done, and rows, while the block runs.

    The thread is a daemon and is joined at the end: it can never keep a failed driver alive.
    """
    from tqdm import tqdm

    stop = threading.Event()
    on_terminal = sys.stderr.isatty()
    bar = tqdm(total=total, desc=step, unit="shard", disable=not on_terminal, leave=False)

    with _heard(context) as heard:

        def poll() -> None:
            logged = 0.0
            waited = 0.0
            while not _wait(stop, heard):
                waited += POLL_SECONDS
                done = min(done_tasks(context, step), total)
                rows = f", {heard.rows:,} rows" if heard is not None and heard.rows else ""
                bar.set_postfix_str(rows[2:], refresh=False)
                bar.update(done - bar.n)
                if not on_terminal and waited - logged >= LOG_SECONDS:
                    logged = waited
                    log.info("%s: %d of %d shards%s, %.0f s", step, done, total, rows, waited)

        thread = threading.Thread(target=poll, name=f"progress-{step}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=5)
            bar.close()


@contextmanager
def _heard(context: Any) -> Iterator[RowsHeard | None]:
    """*Driver.* What tasks that are started inside the block tell of their rows; None where no port can be opened."""
    settings = context.getConf()
    host = settings.get("spark.driver.host", "")
    try:
        heard = RowsHeard(host, settings.get("spark.driver.bindAddress", "")) if host else None
    except OSError:
        heard = None
    context.setLocalProperty(PROPERTY, heard.where if heard is not None else None)
    try:
        yield heard
    finally:
        context.setLocalProperty(PROPERTY, None)
        if heard is not None:
            heard.close()


def _wait(stop: threading.Event, heard: RowsHeard | None) -> bool:
    """*Driver.* True at the end; meanwhile listen, until the next look."""
    if heard is None:
        return stop.wait(POLL_SECONDS)
    heard.listen(POLL_SECONDS)
    return stop.is_set()


def done_tasks(context: Any, group: str) -> int:
    """*Driver.* Tasks of a job group's jobs, finished ones too, that are done."""
    tracker = context.statusTracker()
    done = 0
    for job in tracker.getJobIdsForGroup(group):
        info = tracker.getJobInfo(job)
        stages = [tracker.getStageInfo(stage) for stage in (info.stageIds if info else [])]
        done += sum(stage.numCompletedTasks for stage in stages if stage is not None)
    return done
