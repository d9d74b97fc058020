"""*Driver.* A progress bar on a terminal, plain log lines elsewhere, fed by Spark's status tracker and by the tasks."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from clip_spark.runtime.row_counts import BYTES, HOST_LINKS, HOST_SECONDS, OK, PROPERTY, RowsHeard

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
LOG_SECONDS = 15.0
SLOW_HOSTS = 2
"""That a line names."""


@contextmanager
def watch_progress(context: Any, step: str, total: int, rows_in: int = 0) -> Iterator[None]:
    """*Driver.* Show how many of `total` tasks of the job group `step` are done, and rows, while the block runs.

    Where it is known how many rows there are, `rows_in`, the time that is left is said too.
    """
    with _heard(context) as heard, _shown(step, total, partial(done_tasks, context, step), heard, rows_in):
        yield


@contextmanager
def show_progress(step: str, total: int) -> Iterator[Callable[[], None]]:
    """*Driver.* Show how many of `total` tasks are done; the block calls what it gets after each."""
    done: list[None] = []
    with _shown(step, total, done.__len__):
        yield partial(done.append, None)


@contextmanager
def _shown(
    step: str, total: int, count_done: Callable[[], int], heard: RowsHeard | None = None, rows_in: int = 0
) -> Iterator[None]:
    """*Driver.* The thread is a daemon and is joined at the end: it can never keep a failed driver alive."""
    from tqdm import tqdm

    stop = threading.Event()
    on_terminal = sys.stderr.isatty()
    bar = tqdm(total=total, desc=step, unit="shard", disable=not on_terminal, leave=False)

    def poll() -> None:
        logged = 0.0
        waited = 0.0
        while not _wait(stop, heard):
            waited += POLL_SECONDS
            done = min(count_done(), total)
            rows = ", ".join(["", *said_of_rows(heard.rows, heard.figures, waited, rows_in)]) if heard else ""
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
        if heard is not None:
            heard.wake()
        thread.join(timeout=5)
        bar.close()


def said_of_rows(rows: int, figures: Mapping[str, float], seconds: float, rows_in: int = 0) -> list[str]:
    """*Pure.* What a progress line says of rows that are done: how fast, how well, what is slow, how long still.

    Args:
        rows: that are done.
        figures: of all tasks together (row_counts).
        seconds: since the step began.
        rows_in: of the whole step; 0 if that is not known.
    """
    if not rows:
        return []
    found = [f"{rows:,} rows", f"{rows / seconds:,.0f} a second"]
    if OK in figures:
        found.append(f"{figures[OK] / rows:.0%} ok")
    if BYTES in figures:
        found.append(f"{figures[BYTES] / 1e6 / seconds:,.1f} MB a second")
    if slow := _slowest(figures):
        found.append(f"slowest: {slow}")
    if rows_in > rows:
        found.append(f"{(rows_in - rows) * seconds / rows / 60:,.0f} minutes left")
    return found


def _slowest(figures: Mapping[str, float]) -> str:
    hosts = [name.removeprefix(HOST_LINKS) for name in figures if name.startswith(HOST_LINKS)]
    means = {host: figures.get(HOST_SECONDS + host, 0) / max(1, figures[HOST_LINKS + host]) for host in hosts}
    worst = sorted(means, key=lambda host: (-means[host], host))[:SLOW_HOSTS]
    return ", ".join(f"{host} ({means[host]:.1f} s)" for host in worst)


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
