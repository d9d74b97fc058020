"""*Anywhere.* Which kernels OpenBLAS takes on newer Intel CPUs: the one in numpy's wheel, and the one in Faiss's.

An OpenBLAS that is older than an Intel CPU takes it for one of 2004 (Prescott, SSE3). On a Xeon of model 207 both did
(numpy 1.26, Faiss 1.13): 30 GFLOP/s a core in place of 140, in k-means, batch searches and every matrix product.
"""

from __future__ import annotations

import os

VARIABLE = "OPENBLAS_CORETYPE"
CORES = (
    ("SkylakeX", frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})),
    ("Haswell", frozenset({"avx2", "fma"})),
)
"""Kernels that every OpenBLAS of the last years has, the best first, and the instructions that they need."""


def name_kernels() -> None:
    """*Anywhere.* Tell OpenBLAS before it is loaded, unless somebody has; it looks when it is loaded, and so in every
    process that this one starts."""
    if VARIABLE in os.environ:
        return
    try:
        with open("/proc/cpuinfo") as stream:
            found = choose_kernels(stream.read(16_384))
    except OSError:  # no Linux
        return
    if found:
        os.environ[VARIABLE] = found


def choose_kernels(cpuinfo: str) -> str:
    """*Pure.* From the first CPU of /proc/cpuinfo; empty where OpenBLAS's own choice is left to it."""
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value)
    flags = frozenset(fields.get("flags", "").split())
    if fields.get("vendor_id", "").strip() != "GenuineIntel":
        return ""
    return next((core for core, needed in CORES if needed <= flags), "")
