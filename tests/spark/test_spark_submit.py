"""`jobs/*.py` under spark-submit do the same as the console script, with its exit statuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clip_spark.datasets.manifest import read_manifest
from scripts.standalone import LIGHT_JVM

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.spark


def spark_submit(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    import pyspark

    home = Path(pyspark.__file__).parent
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LAUNCHER_OPTS": LIGHT_JVM,
    }
    command = [
        str(home / "bin" / "spark-submit"),
        "--master",
        "local[1]",
        "--conf",
        "spark.ui.enabled=false",
        "--conf",
        f"spark.driver.extraJavaOptions={LIGHT_JVM}",
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def test_a_job_file_counts_under_spark_submit(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a dog and a cat\na dog\n")
    job = str(ROOT / "jobs" / "count_ngrams.py")
    done = spark_submit(job, "--corpus", "a.txt", "--output", "counts", "--min-count", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert read_manifest(str(tmp_path / "counts"), "counts").rows == 3  # a, dog, "a dog"


def test_a_mistake_has_status_2_under_spark_submit(tmp_path: Path) -> None:
    job = str(ROOT / "jobs" / "count_ngrams.py")
    done = spark_submit(job, "--corpus", "absent.txt", "--output", "counts", cwd=tmp_path)
    assert done.returncode == 2
    said = done.stdout + done.stderr  # Spark joins the two streams of a Python program
    assert "clip-spark count-ngrams: " in said and "Traceback" not in said
