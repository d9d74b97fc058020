"""OpenMP's threads spin shortly in this process and those that it starts; nobody's own choice is overruled."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from clip_spark.openmp import MOST_SPINS, POLICY, SPINS


@pytest.mark.parametrize(
    ("given", "spins"), [({}, MOST_SPINS), ({SPINS: "7"}, "7"), ({POLICY: "passive"}, "None"), ({SPINS: ""}, "")]
)
def test_spins_are_few_unless_somebody_has_chosen(given: dict[str, str], spins: str) -> None:
    others = {name: value for name, value in os.environ.items() if name not in (SPINS, POLICY)}
    code = f"import os, clip_spark; print(os.environ.get({SPINS!r}))"
    said = subprocess.run(
        [sys.executable, "-c", code], env={**others, **given}, capture_output=True, text=True, check=True
    )
    assert said.stdout == f"{spins}\n"


def test_libgomp_is_told_before_torch_loads_it() -> None:
    code = (
        "import sys, clip_spark.encoders.spec\n"
        "assert 'torch' not in sys.modules\n"
        "import torch; torch.ones(1000, 1000) @ torch.ones(1000, 1000)\n"
    )
    others = {name: value for name, value in os.environ.items() if name not in (SPINS, POLICY)}
    told = {**others, "OMP_DISPLAY_ENV": "verbose"}
    said = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, check=True)
    spins = [line for line in said.stderr.splitlines() if SPINS in line]
    assert not spins or MOST_SPINS in spins[-1]  # elsewhere than on Linux torch has another OpenMP
