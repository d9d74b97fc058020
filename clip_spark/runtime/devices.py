"""*Worker.* Which device a task computes on, and in what precisions it can; the only module that asks Spark or CUDA.

Order: the GPU that Spark gave to this task; else a CUDA device that this process can see; else the CPU with as many
threads as the task has cores. Nothing here needs Spark: without a task there is simply no task to ask.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any, TextIO

from clip_spark.errors import UserError

CPU = "cpu"
_claims: list[TextIO] = []
"""Open lock files of the devices that this process has taken; the system frees them when the process ends."""


def task_context() -> Any:
    """*Worker.* Spark's TaskContext, or None outside a task; never imports pyspark."""
    module = sys.modules.get("pyspark.taskcontext")
    return module.TaskContext.get() if module is not None else None


def is_retry() -> bool:
    """*Worker.* True if the task was tried before (or is a speculative copy)."""
    context = task_context()
    return context is not None and int(context.attemptNumber()) > 0


def assigned_gpu() -> str | None:
    """*Worker.* The address of the GPU that Spark gave to this task, or None."""
    context = task_context()
    found = context.resources().get("gpu") if context is not None else None
    return str(found.addresses[0]) if found is not None and found.addresses else None


def shipped_file(name: str) -> str | None:
    """*Worker.* The local path of a file that `spark-submit --files` (or `addFile`) brought to this task, or None."""
    if task_context() is None:
        return None
    path = sys.modules["pyspark"].SparkFiles.get(name)
    return path if os.path.isfile(path) else None


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
        return f"cuda:{claim_number(count, Path(tempfile.gettempdir()))}"
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


def claim_number(count: int, folder: Path) -> int:
    """*Worker.* A device that no other process of this node has taken: where Spark schedules no GPUs, we do.

    Each process keeps its device as long as it lives. When there are more processes than devices, the rest share
    them evenly.

    Args:
        count: devices that this process can see.
        folder: a local folder that all processes of the node share, for lock files.
    """
    import fcntl

    visible = (os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))).split(",")
    for number in range(count):
        lock = open(folder / f"clip-spark-{os.getuid()}-cuda-{visible[number].strip()}.lock", "w")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _claims.append(lock)
        return number
    return os.getpid() % count


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


def usable_cores() -> int:
    """*Anywhere.* Cores that this process may use: of its affinity, and of the quota of its container."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):  # another system, or another kind of cgroup
        return found
    return found if quota == "max" else max(1, min(found, -(-int(quota) // int(period))))


def check_precision(precision: str, device: str) -> None:
    """*Worker.* Refuse a precision that a device does not have.

    Raises:
        UserError: int8 on a GPU, tf32 on a CPU.
    """
    if precision == "int8" and device != CPU:
        raise UserError(f"--precision int8 is for CPUs, and this task has {device}; use auto, which is faster there.")
    if precision == "tf32" and device == CPU:
        raise UserError("The precision tf32 is for GPUs, and this task has none; use auto, or the nodes it began on.")


def precisions(device: str) -> list[str]:
    """*Worker.* What a device computes without emulating it; fp32 first. Whether it is faster is another question."""
    import torch

    if device != CPU:
        new = torch.cuda.get_device_capability(device) >= (8, 0)
        return ["fp32", "bf16", "fp16", "tf32"] if new else ["fp32", "fp16"]
    has = [name for name, value in _cpu_abilities() if value is True]  # avx512_bf16, amx_fp16, sve_bf16, ...
    return ["fp32", *(kind for kind in ("bf16", "fp16") if any(kind in name for name in has))]


def has_int8(device: str) -> bool:
    """*Worker.* Whether a device multiplies in 8 bits by oneDNN, which torch brings along on some CPUs."""
    import torch

    return device == CPU and hasattr(torch.ops.onednn, "qlinear_prepack")


def describe(device: str) -> list[str]:
    """*Worker.* What tells kinds of devices apart: their name, what they can do, and the torch that uses them."""
    import torch

    if device != CPU:
        capability = torch.cuda.get_device_capability(device)
        return [torch.cuda.get_device_name(device), repr(capability), torch.__version__]
    most = os.environ.get("ONEDNN_MAX_CPU_ISA", "")  # by which a user keeps oneDNN from some of these
    return [platform.machine(), platform.processor(), repr(_cpu_abilities()), most, torch.__version__]


def _cpu_abilities() -> list[tuple[str, Any]]:
    """*Worker.* What torch knows of this CPU, its name among it; older versions of torch tell nothing."""
    import torch

    return sorted(getattr(torch.cpu, "get_capabilities", dict)().items())


def wait_for(device: str) -> None:
    """*Worker.* Return when a device has done what it was asked to do."""
    import torch

    if device != CPU:
        torch.cuda.synchronize(device)


def threads_per_task(context: Any, tasks: int) -> int:
    """*Driver.* torch's threads in each task: in local mode more than one when cores would be idle.

    Args:
        context: the SparkContext.
        tasks: how many tasks will run in all.

    Returns:
        0 on a cluster: each task then takes the cores that Spark gives to it.
    """
    if not is_local(context):
        return 0
    return max(1, context.defaultParallelism // max(1, min(tasks, context.defaultParallelism)))


def is_local(context: Any) -> bool:
    """*Driver.* True in local mode, where the driver is the only executor."""
    return context.master == "local" or context.master.startswith("local[")


def gpu_profile(spark: Any) -> Any:
    """*Driver.* A task profile of one GPU and its share of the cores, or None where Spark schedules no GPUs.

    Only the encoding stage takes it, so the CPU stages of the same application keep all cores. Local mode has no
    such scheduling. Where `spark.task.resource.gpu.amount` is set, every stage has its GPU already.

    Raises:
        UserError: dynamic allocation is on, under which Spark refuses such a profile.
    """
    context = spark.sparkContext
    conf = context.getConf()
    gpus = int(conf.get("spark.executor.resource.gpu.amount", "0"))
    if gpus == 0 or is_local(context) or conf.get("spark.task.resource.gpu.amount", "") != "":
        return None
    if conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        raise UserError(
            "spark.dynamicAllocation.enabled is true, and Spark then refuses tasks that ask for a GPU by themselves. "
            "Set it to false with a fixed spark.executor.instances (conf/spark/emr-gpu.conf shows how)."
        )
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    cores = int(conf.get("spark.executor.cores", "1"))
    requests = TaskResourceRequests().cpus(max(1, cores // gpus)).resource("gpu", 1)
    return ResourceProfileBuilder().require(requests).build
