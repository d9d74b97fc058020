"""What a benchmark found and on what it ran, as the JSON of which scripts/write_tables.py writes the docs' tables."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

LOAD_BEFORE = os.getloadavg()[0]
"""Of the minute before this process began: nothing of it is the benchmark's own."""
FLAGS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "avx512_bf16", "amx_bf16": "AMX"}
PACKAGES = (
    "autofaiss", "clip-retrieval", "duckdb", "faiss-cpu", "numpy", "open_clip_torch", "polars", "pyarrow", "pyspark",
    "torch",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """The processor with what it has for vectors, cores, load before, day, and versions of what takes part."""
    from clip_spark.datasets.manifest import versions_of  # late: it names BLAS kernels, also for a peer that runs here

    lines = [line.partition(":")[::2] for line in Path("/proc/cpuinfo").read_text().splitlines()]
    said = {key.strip(): value.strip() for key, value in lines}
    flags = said.get("flags", "").split()
    return {
        "cpu": said.get("model name", platform.machine()),
        "has": [name for flag, name in FLAGS.items() if flag in flags],
        "cores": os.cpu_count(),
        "load_before": round(LOAD_BEFORE, 1),
        "day": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "versions": versions_of(PACKAGES),
    }


def save_figures(path: str | Path, found: dict[str, Any]) -> None:
    """Write what a benchmark found, how it was called (of files and folders their names alone), and the machine."""
    called = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    written = {"machine": machine(), "called": called, **found}
    Path(path).write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n")
