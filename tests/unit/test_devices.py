"""Devices: who gets which GPU, what threads, and what is refused before a task runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clip_spark.errors import UserError
from clip_spark.runtime import devices

ROOT = Path(__file__).resolve().parents[2]


def spark_with(master: str, parallelism: int = 4, **settings: str) -> Any:
    """Something with the few attributes of a session that `devices` looks at."""
    conf = {key.replace("__", "."): value for key, value in settings.items()}
    context = SimpleNamespace(master=master, defaultParallelism=parallelism, getConf=lambda: conf)
    return SimpleNamespace(sparkContext=context)


@pytest.mark.parametrize(
    ("address", "visible", "number"), [("0", None, 0), ("3", None, 3), ("3", "2,3", 1), ("0", "0", 0), ("1", "", 1)]
)
def test_sparks_address_becomes_torchs_number(address: str, visible: str | None, number: int) -> None:
    assert devices.visible_number(address, visible) == number


def test_without_a_gpu_it_is_the_cpu() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert devices.pick_device() == "cpu"


def test_torch_computes_with_the_cores_of_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    before = torch.get_num_threads()
    monkeypatch.setattr(devices, "task_context", lambda: SimpleNamespace(cpus=lambda: before + 1))
    try:
        assert devices.use_threads() == before + 1 == torch.get_num_threads()
    finally:
        devices.use_threads(before)


def test_a_gpu_that_torch_cannot_use_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "assigned_gpu", lambda: "7")
    with pytest.raises(UserError, match="GPU 7"):
        devices.pick_device()


def test_processes_of_a_node_take_different_devices(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from clip_spark.runtime.devices import claim_number\n"
        "print(claim_number(2, pathlib.Path(sys.argv[1])), flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("CUDA_VISIBLE_DEVICES", None)

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    running = [start(), start()]
    taken = [int(process.stdout.readline()) for process in running if process.stdout]
    assert sorted(taken) == [0, 1]
    running[0].communicate()  # it ends, and its device is free again
    later = start()
    assert later.stdout and int(later.stdout.readline()) == taken[0]
    for process in (running[1], later):
        process.communicate()


def test_idle_cores_of_local_mode_become_threads() -> None:
    local = spark_with("local[4]").sparkContext
    assert [devices.threads_per_task(local, tasks) for tasks in (1, 2, 3, 100)] == [4, 2, 1, 1]
    assert devices.threads_per_task(spark_with("spark://host:7077").sparkContext, 1) == 0


GPUS = {"spark__executor__resource__gpu__amount": "2", "spark__executor__cores": "8"}


def test_no_profile_where_spark_schedules_no_gpus() -> None:
    assert devices.gpu_profile(spark_with("yarn")) is None
    assert devices.gpu_profile(spark_with("local[4]", **GPUS)) is None
    assert devices.gpu_profile(spark_with("yarn", **GPUS, spark__task__resource__gpu__amount="1")) is None


def test_dynamic_allocation_with_gpus_is_refused_with_advice() -> None:
    with pytest.raises(UserError, match="dynamicAllocation"):
        devices.gpu_profile(spark_with("yarn", **GPUS, spark__dynamicAllocation__enabled="true"))
