"""*Driver.* The Spark session, started late: options are parsed and inputs checked before a JVM exists."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clip_spark.errors import UserError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SessionSource = Callable[[], "SparkSession"]
"""What steps take instead of a session, so that a step with nothing to do starts no JVM."""

LEAST_JAVA = 17
JAVA_HELP = "Install one, for example `apt-get install openjdk-17-jre-headless`, or set JAVA_HOME."
LOCAL_DEFAULTS = {
    "spark.master": "local[*,2]",  # a task is tried twice, as on a cluster; the second time carefully (apart.py)
    "spark.driver.memory": "4g",  # in local mode the driver is the executor: Spark's default 1g spills at once
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    # The JVM only moves bytes here: its optimising compiler and parallel collector would take cores from the workers,
    # and what it reserves for short-lived objects (a third of the heap) would be memory that it fills before it cleans.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xms64m -Xmn32m",
    "spark.buffer.pageSize": "4m",  # what a task takes at once to sort what it sends; by default up to 64 MB
}
DEFAULTS = {
    "spark.ui.showConsoleProgress": "false",  # our own progress line knows rows; Spark's would overwrite it
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Python's messages are byte arrays. With Kryo the JVM sorts them as bytes into one file; else it opens a file and a
    # serialiser for each shard in each task, which took a fifth of count-ngrams' time with 42 shards.
    "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
    "spark.kryoserializer.buffer.max": "1g",
    "spark.shuffle.sort.bypassMergeThreshold": "1",
}


ELSEWHERE = ("PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS", "SPARK_CONF_DIR", "SPARK_HOME", "SPARK_REMOTE", "MASTER")
"""Variables by which somebody else says where Spark runs."""


@dataclass(frozen=True)
class LateSession:
    """*Driver.* Returns the running session, or starts one at its first call.

    Attributes:
        app_name, master, settings: arguments of `get_session`.
        jobs: name and text of the jobs that come, for Spark's page (`name_jobs`); empty leaves them as they are.
    """

    app_name: str
    master: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    jobs: tuple[str, str] | tuple[()] = ()

    def __call__(self) -> SparkSession:
        """The session."""
        spark = get_session(self.app_name, self.master, self.settings)
        if self.jobs:
            name_jobs(spark, *self.jobs)
        return spark

    def would_start(self) -> bool:
        """Whether a call would start a new Spark on this machine, with nothing that anybody has asked of it."""
        spark = sys.modules.get("pyspark")
        runs = spark is not None and spark.SparkContext._active_spark_context is not None
        return not (runs or self.master or self.settings or any(name in os.environ for name in ELSEWHERE))


def session_source(app_name: str, master: str = "", conf: Mapping[str, str] | None = None) -> LateSession:
    """*Driver.* What returns the running session, or starts one at its first call."""
    return LateSession(app_name, master, conf or {})


def get_session(app_name: str, master: str = "", settings: Mapping[str, str] | None = None) -> SparkSession:
    """*Driver.* The active session, else a new one with the conf of spark-submit, else `local[*]`.

    Args:
        app_name: shown by Spark's UI.
        master: Spark master URL; empty leaves it to spark-submit or the default.
        settings: Spark settings that win over all others.

    Raises:
        UserError: pyspark or Java is missing or too old.
    """
    try:
        from pyspark import SparkConf, SparkContext
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise UserError("pyspark is not installed; install it with `pip install 'clip-spark[spark]'`.") from error
    # To see whether numpy is there Spark loads a module that warns of pandas 3, which no job of ours uses in Spark.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning, r"pyspark\.testing")
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    # Without it workers run `python3` from PATH, which is not the interpreter that has our packages.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if "PYSPARK_GATEWAY_PORT" in os.environ:  # spark-submit has started the JVM, and its settings are in there
        SparkContext._ensure_initialized()
    conf = SparkConf().setAll(list((settings or {}).items()))
    if master:
        conf.setMaster(master)
    if conf.get("spark.master", "local").startswith("local"):
        check_java()
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        conf.setAll([(key, value) for key, value in LOCAL_DEFAULTS.items() if not conf.contains(key)])
    conf.setAll([(key, value) for key, value in DEFAULTS.items() if not conf.contains(key)])
    spark = SparkSession.builder.appName(app_name).config(conf=conf).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    spark.sparkContext.environment.setdefault("TQDM_DISABLE", "1")  # workers share our terminal in local mode
    return spark


def name_jobs(spark: SparkSession, name: str, text: str) -> None:
    """*Driver.* What Spark's page calls the jobs that this thread starts from now on, and what Ctrl-C ends."""
    spark.sparkContext.setJobGroup(name, text, interruptOnCancel=True)


def check_java() -> None:
    """*Driver.* Raise UserError unless a Java that Spark accepts is there."""
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    if java is None or not os.path.exists(java):
        raise UserError(f"Java was not found; Spark needs Java {LEAST_JAVA} or 21. {JAVA_HELP}")
    try:
        tried = subprocess.run([java, "-version"], capture_output=True, text=True, errors="replace", check=False)
        why = tried.stderr.strip().partition("\n")[0] or f"exit status {tried.returncode}" if tried.returncode else ""
    except OSError as error:
        why = str(error.strerror)
    if why:
        raise UserError(f"The Java at {java} cannot run ({why}); Spark needs Java {LEAST_JAVA} or 21. {JAVA_HELP}")
    major = _java_major(tried.stderr)
    if major is not None and major < LEAST_JAVA:
        raise UserError(f"Java {major} was found at {java}; Spark needs Java {LEAST_JAVA} or 21. {JAVA_HELP}")


def _java_major(text: str) -> int | None:
    """*Pure.* 17 from `openjdk version "17.0.15"`, 8 from `java version "1.8.0"`; None when it says neither."""
    quoted = text.split('"')
    if len(quoted) < 2:
        return None
    parts = quoted[1].split(".")
    major = parts[1] if parts[0] == "1" and len(parts) > 1 else parts[0]
    return int(major) if major.isdigit() else None
