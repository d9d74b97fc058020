"""Jobs are started in runtime/ only, where every error of an executor becomes one sentence."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "clip_spark"
ACTIONS = {"collect", "treeReduce", "treeAggregate", "reduce", "foreach", "foreachPartition", "count", "setJobGroup"}
"""Methods of RDDs that start a job, and the one that names jobs; those with other meanings take other arguments."""

OTHERS = ("gc.collect", "histogram.collect")
"""Python's, and prometheus'."""


def actions(path: Path) -> list[str]:
    """Calls in a file that may start a job."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ACTIONS:
            of_python = node.func.attr in ("reduce", "count", "foreach") and "rdd" not in ast.unparse(node.func.value)
            if not of_python and ast.unparse(node.func) not in OTHERS:
                found.append(ast.unparse(node.func))
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_runtime_starts_jobs(path: Path) -> None:
    assert path.relative_to(PACKAGE).parts[0] == "runtime" or not actions(path)


def test_the_runtime_does() -> None:
    assert {"rdd.collect", "spark.sparkContext.setJobGroup"} <= {
        call for path in (PACKAGE / "runtime").glob("*.py") for call in actions(path)
    }
