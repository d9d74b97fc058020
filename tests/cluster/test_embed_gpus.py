"""Two workers with two invented GPUs each: no two tasks share one at the same time, and none is idle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.standalone import LIGHT_JVM, standalone_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]

APPLICATION = """
import json, os, sys, time
from clip_spark.runtime import devices
from clip_spark.runtime.session import get_session
from clip_spark.runtime.tasks import run_shards

def work(item):
    gpu, start = devices.assigned_gpu(), time.time()
    time.sleep(1.0)  # long enough for a busy machine to start the others meanwhile
    executor = devices.task_context().taskAttemptId() and os.environ.get("SPARK_EXECUTOR_DIRS", "")
    with open(f"{told}/{item}.json", "w") as stream:
        json.dump([executor, gpu, start, time.time(), int(devices.task_context().cpus())], stream)

told = sys.argv[2]

spark = get_session("gpus", sys.argv[1], {
    "spark.executor.cores": "4", "spark.executor.memory": "512m", "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1", "spark.executor.resource.gpu.amount": "2", "spark.ui.enabled": "false",
    "spark.scheduler.minRegisteredResourcesRatio": "1", "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
    "spark.cores.max": "8",
    "spark.driver.extraJavaOptions": sys.argv[3], "spark.executor.extraJavaOptions": sys.argv[3],
})
spark.sparkContext.setLogLevel("ERROR")
spark.sparkContext.parallelize(range(32), 32).map(lambda item: time.sleep(0.2)).collect()  # both executors are up
run_shards(spark, "gpus", list(range(16)), work, devices.gpu_profile(spark))
spark.stop()
"""


def test_no_two_tasks_share_a_gpu_and_none_is_idle(tmp_path: Path) -> None:
    script = tmp_path / "gpus.sh"
    script.write_text('#!/bin/sh\necho \'{"name": "gpu", "addresses": ["0", "1"]}\'\n')
    script.chmod(0o755)
    options = f"-Dspark.worker.resource.gpu.amount=2 -Dspark.worker.resource.gpu.discoveryScript={script}"
    (tmp_path / "application.py").write_text(APPLICATION)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYSPARK_PYTHON": sys.executable}
    daemons = {"SPARK_WORKER_OPTS": options, "PYTHONPATH": str(ROOT)}
    told = tmp_path / "told"
    told.mkdir()
    with standalone_cluster(tmp_path / "cluster", workers=2, cores=4, memory="1g", env=daemons) as cluster:
        command = [sys.executable, str(tmp_path / "application.py"), cluster.master, str(told), LIGHT_JVM]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    tasks = [json.loads(path.read_text()) for path in told.iterdir()]
    assert len(tasks) == 16, done.stderr[-3000:]
    by_gpu: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for executor, gpu, start, stop, threads in tasks:
        by_gpu.setdefault((executor, gpu), []).append((start, stop))
        assert threads == 2  # its share of the executor's cores
    assert len(by_gpu) == 4  # every GPU of both executors had work
    for spans in by_gpu.values():
        spans.sort()
        assert all(before[1] <= after[0] for before, after in zip(spans, spans[1:], strict=False))
