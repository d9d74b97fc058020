"""Runs our commands as a user of a cluster does: another process, `spark-submit`, S3, the code as a zip."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.standalone import LIGHT_JVM
from tests.services.seaweed import S3Server

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.executor.memory": "700m",
    "spark.executor.cores": "1",
    "spark.driver.memory": "700m",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "3",
    "spark.sql.ansi.enabled": "true",
    "spark.port.maxRetries": "100",
    "spark.driver.extraJavaOptions": LIGHT_JVM,
    "spark.executor.extraJavaOptions": LIGHT_JVM,
}


@dataclass(frozen=True)
class Submitter:
    """How to reach the cluster and the store."""

    master: str
    code_zip: Path
    s3: S3Server
    endpoint: str = ""
    settings: tuple[tuple[str, str], ...] = ()

    def start(self, command: str, *arguments: str) -> subprocess.Popen[str]:
        """Start `jobs/<command>.py` under spark-submit; output goes to its pipe."""
        return subprocess.Popen(
            self.command_line(command, arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env=self.environment(),
            cwd=tempfile.gettempdir(),
            start_new_session=True,
        )

    def run(self, command: str, *arguments: str, timeout: float = 800) -> str:
        """Run it to its end; returns what it said, fails the test if it failed."""
        process = self.start(command, *arguments)
        said, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0, f"{command} ended with {process.returncode}:\n{said[-4000:]}"
        return said

    def command_line(self, command: str, arguments: Sequence[str]) -> list[str]:
        """The spark-submit command."""
        settings = {**SETTINGS, **self.executor_environment(), **dict(self.settings)}
        conf = [text for key, value in settings.items() for text in ("--conf", f"{key}={value}")]
        submit = str(Path(spark_home()) / "bin" / "spark-submit")
        job = ROOT / "jobs" / f"{command.replace('-', '_')}.py"
        return [submit, "--master", self.master, "--py-files", str(self.code_zip), *conf, str(job), *arguments]

    def executor_environment(self) -> dict[str, str]:
        """Settings that give executors the test's credentials; on a real cluster its machines have a role."""
        return {f"spark.executorEnv.{key}": value for key, value in self.s3.env(self.endpoint).items()}

    def environment(self) -> Mapping[str, str]:
        """The driver's environment."""
        return {
            **os.environ,
            **self.s3.env(self.endpoint),
            "SPARK_HOME": spark_home(),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LAUNCHER_OPTS": LIGHT_JVM,
            "PYSPARK_PYTHON": sys.executable,
        }


def spark_home() -> str:
    """Where the pyspark that this process would import is."""
    import pyspark

    return str(Path(pyspark.__file__).parent)
