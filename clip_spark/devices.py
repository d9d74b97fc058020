"""*Worker.* Which device a task computes on, and in what precision; the only module that asks Spark or CUDA.

Order: the GPU that Spark gave to this task; else a CUDA device that this process can see; else the CPU with as many
threads as the task has cores. Nothing here needs Spark: without a task there is simply no task to ask.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from clip_spark.errors import UserError

CPU = "cpu"


def task_context() -> Any:
    """*Worker.* Spark's TaskContext, or None outside a task; never imports pyspark."""
    module = sys.modules.get("pyspark.taskcontext")
    return module.TaskContext.get() if module is not None else None


def assigned_gpu() -> str | None:
    """*Worker.* The address of the GPU that Spark gave to this task, or None."""
    context = task_context()
    found = context.resources().get("gpu") if context is not None else None
    return str(found.addresses[0]) if found is not None and found.addresses else None


def pick_device() -> str:
    """*Worker.* `cuda:N` or `cpu` for this process.

    Raises:
        UserError: Spark assigned a GPU, but torch cannot use it.
    """
    import torch

    assigned = assigned_gpu()
    if assigned is None and not torch.cuda.is_available():
        return CPU
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if assigned is None:
        return f"cuda:{_own_number() % count}"
    number = visible_number(assigned, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if number >= count:
        raise UserError(
            f"Spark gave GPU {assigned} to this task, but torch {torch.__version__} sees {count} CUDA devices on the "
            "node. Install a CUDA build of torch there, or run without spark.executor.resource.gpu.amount."
        )
    return f"cuda:{number}"


def visible_number(address: str, visible: str | None) -> int:
    """*Pure.* torch's number of the GPU with Spark's address: its place in CUDA_VISIBLE_DEVICES, if that is set."""
    if visible:
        names = [name.strip() for name in visible.split(",")]
        if address in names:
            return names.index(address)
    return int(address)


def _own_number() -> int:
    context = task_context()
    return context.partitionId() if context is not None else 0


def use_threads(threads: int = 0) -> int:
    """*Worker.* Let torch compute with `threads` threads; 0 takes the task's cores (all cores outside a task)."""
    import torch

    if threads == 0:
        context = task_context()
        threads = int(context.cpus()) if context is not None else os.cpu_count() or 1
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    return threads


def decode_threads() -> int:
    """*Worker.* Threads that read and decode pictures beside the forward pass: the cores of the task, at least 2.

    Two on a single core too: reading is waiting, and one picture is decoded while another is read.
    """
    context = task_context()
    cores = int(context.cpus()) if context is not None else os.cpu_count() or 1
    return max(2, cores)


def pick_precision(wanted: str, device: str) -> str:
    """*Worker.* fp32, bf16 or fp16: what `auto` means on this device.

    bf16 only where the hardware computes it; an emulated one is slower than fp32.
    """
    import torch

    if wanted != "auto":
        return wanted
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"


def threads_per_task(context: Any, tasks: int) -> int:
    """*Driver.* Threads for each of `tasks` tasks: a task's own cores, more in local mode when cores would be idle.

    Args:
        context: the SparkContext.
        tasks: how many tasks will run in all.
    """
    own = int(context.getConf().get("spark.task.cpus", "1"))
    if not context.master.startswith("local[") and context.master != "local":
        return own
    return max(own, context.defaultParallelism // max(1, min(tasks, context.defaultParallelism)))


def gpu_profile(spark: Any) -> Any:
    """*Driver.* A task profile of one GPU and its share of the cores, or None where Spark schedules no GPUs.

    Only the encoding stage takes it, so the CPU stages of the same application keep all cores. Local mode has no
    such scheduling. (`spark.task.resource.gpu.amount` must stay unset: it would hold back every other stage too.)
    """
    context = spark.sparkContext
    conf = context.getConf()
    gpus = int(conf.get("spark.executor.resource.gpu.amount", "0"))
    if gpus == 0 or context.master.startswith("local[") or context.master == "local":
        return None
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    cores = int(conf.get("spark.executor.cores", "1"))
    requests = TaskResourceRequests().cpus(max(1, cores // gpus)).resource("gpu", 1)
    return ResourceProfileBuilder().require(requests).build
