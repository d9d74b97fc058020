"""OpenBLAS gets the kernels of the CPU that it does not know; nobody's own choice is overruled."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from clip_spark.blas import VARIABLE, choose_kernels

AVX2 = "fpu sse2 avx avx2 fma"
AVX512 = f"{AVX2} avx512f avx512dq avx512cd avx512bw avx512vl"


@pytest.mark.parametrize(
    ("vendor", "flags", "kernels"),
    [
        ("GenuineIntel", AVX512, "SkylakeX"),
        ("GenuineIntel", f"{AVX2} avx512f", "Haswell"),
        ("GenuineIntel", "fpu sse2", ""),
        ("AuthenticAMD", AVX512, ""),
    ],
)
def test_kernels_are_those_of_the_instructions_of_an_intel_cpu(vendor: str, flags: str, kernels: str) -> None:
    cpu = f"processor\t: 0\nvendor_id\t: {vendor}\nmodel\t\t: 207\nflags\t\t: {flags}\n\n"
    assert choose_kernels(cpu + cpu.replace(flags, "fpu")) == kernels
    assert choose_kernels("") == ""


def test_what_somebody_has_chosen_stays() -> None:
    code = f"import os, clip_spark; print(os.environ[{VARIABLE!r}])"
    said = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, VARIABLE: "Zen"}, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "Zen"
