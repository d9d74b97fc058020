"""Ctrl-C while Spark works: one line, exit status 130."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.processes import wait_until

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import sys
from clip_spark.commands.console import job_main
from tests.helpers_commands import SLEEPY
sys.exit(job_main(SLEEPY, sys.argv[1:]))
"""
pytestmark = pytest.mark.spark


def test_ctrl_c_is_one_line(tmp_path: Path) -> None:
    running, log = tmp_path / "running", tmp_path / "log"
    options = ["--embeddings", str(running), "--index", "i", "--output", "o", "--master", "local[1]"]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", CODE, *options],
            stdout=stream,
            stderr=stream,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable},
            start_new_session=True,
        )
    wait_until("a task running", running.exists, seconds=240)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all processes in front
    status, said = process.wait(240), log.read_text()
    assert status == 130, said
    assert "clip-spark toy: interrupted; run the same command again to go on." in said.splitlines()
    assert "Traceback" not in said and "KeyboardInterrupt" not in said
