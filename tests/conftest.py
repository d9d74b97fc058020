"""Shared fixtures. The Spark session is made at its first use, so unit tests start no JVM."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.services.pytest_services", "tests.tell_failures"]

# A busy machine is no failure: the first example of a test may import torch.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """A command sets up logging for its process; the next test is another one."""
    yield
    logger = logging.getLogger("clip_spark")
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """One `local[2,2]` session for all Spark tests: two cores, and one retry per task as on a cluster."""
    os.environ["PYSPARK_PYTHON"] = sys.executable  # else workers run `python3` from PATH
    from pyspark.sql import SparkSession

    from clip_spark.runtime.session import LOCAL_DEFAULTS

    scratch = tmp_path_factory.mktemp("spark")
    session = (
        SparkSession.builder.master("local[2,2]")
        .appName("clip-spark-tests")
        .config("spark.ui.enabled", "false")  # no port, and seconds less
        .config("spark.sql.shuffle.partitions", "3")  # more than one, not a multiple of the cores
        .config("spark.sql.ansi.enabled", "true")  # 4.x's default, held on 3.5 too
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        .config("spark.driver.extraJavaOptions", LOCAL_DEFAULTS["spark.driver.extraJavaOptions"])
        .config("spark.sql.warehouse.dir", str(scratch))
        .config("spark.local.dir", str(scratch))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
