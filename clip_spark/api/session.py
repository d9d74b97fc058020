"""*Driver.* The Spark session of a notebook: the one that is running, else one of our own that we also stop."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clip_spark.runtime.session import get_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

APP = "clip-spark"
GROUP = ("spark.jobGroup.id", "spark.job.description", "spark.job.interruptOnCancel")
"""What a step sets so that Spark's page shows its jobs under its name."""

_made: list[SparkSession] = []


def session() -> SparkSession:
    """*Driver.* The running Spark session (of a notebook, Databricks, EMR), else a local one that is started now.

    Raises:
        UserError: pyspark or Java is missing.
    """
    running = _running()
    if running is None:
        running = get_session(APP)
        _made[:] = [running]
        atexit.register(stop)
    return running


def _running() -> SparkSession | None:
    """A session that any thread has started: the active session is only that of its own thread."""
    try:
        from pyspark import SparkContext
        from pyspark.sql import SparkSession
    except ImportError:
        return None  # get_session says how to install it
    active = SparkSession.getActiveSession()
    if active is None and SparkContext._active_spark_context is not None:
        return SparkSession.builder.getOrCreate()
    return active


def stop() -> None:
    """*Driver.* Stop the Spark session that clip-spark has started, and free its memory; no other is touched.

    Called at the exit of Python, too. The next step starts a new session.
    """
    atexit.unregister(stop)
    for spark in _made:
        spark.stop()
    _made.clear()


@contextmanager
def own_job_group() -> Iterator[None]:
    """*Driver.* Inside, a step may name its Spark jobs; afterwards the names are those that the user had set."""
    before = _running()
    kept = {key: before.sparkContext.getLocalProperty(key) for key in GROUP} if before else dict.fromkeys(GROUP)
    try:
        yield
    finally:
        after = _running()
        for key, value in kept.items() if after else ():
            after.sparkContext.setLocalProperty(key, value)  # type: ignore[union-attr, arg-type]
