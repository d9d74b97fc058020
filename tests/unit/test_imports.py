"""Imports are free: no JVM, no torch, no faiss at import, proven in a fresh interpreter."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import clip_spark

HEAVY = ("pyspark", "torch", "open_clip", "faiss", "autofaiss", "duckdb", "polars", "pandas", "matplotlib")
LAZY = ("clip_spark.encoders.", "clip_spark.web", "clip_spark.jobs", "clip_spark.conf")
"""Packages below these may load what they are about; their parents load them inside functions."""


def loaded_by(code: str) -> set[str]:
    """Top-level names in sys.modules after running `code` in a new process."""
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.fixture(scope="module")
def plain() -> set[str]:
    """What a bare interpreter of this environment loads (site packages may add some)."""
    return loaded_by("")


def test_the_package_loads_nothing_heavy(plain: set[str]) -> None:
    assert not (loaded_by("import clip_spark") - plain) & set(HEAVY)


def test_no_module_loads_anything_heavy(plain: set[str]) -> None:
    names = [m.name for m in pkgutil.walk_packages(clip_spark.__path__, "clip_spark.") if not m.name.startswith(LAZY)]
    assert len(names) > 15
    code = "import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in names)
    assert not (loaded_by(code) - plain) & set(HEAVY)


def test_the_overview_of_commands_and_their_help_are_made_of_the_standard_library(plain: set[str]) -> None:
    loaded = loaded_by("from clip_spark.jobs.cli import main\nmain(['--help'])") - plain
    assert not loaded & {*HEAVY, "numpy", "pyarrow", "fsspec", "rich", "yaml", "argparse"}
