"""Imports point down only: jobs -> driver -> worker -> ground. Read from the source, nothing is imported."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clip_spark"

GROUND, WORKER, DRIVER, TOP = range(4)
LAYERS = {
    GROUND: {
        "", "errors", "specs", "settings", "schema", "storage", "stores", "shards", "receipts", "manifest", "report",
        "listings", "text", "memory", "ordered",
        "demo",
    },
    WORKER: {
        "encoders", "devices", "apart", "images", "index", "search", "query", "sidecars", "expression", "answers",
        "contact_sheet", "shard_queries",
    },
    DRIVER: {
        "session", "tasks", "progress", "console", "pipeline", "corpus", "ngrams", "records",
        "embed", "build", "measure", "distributed", "generation", "tag", "remove", "compact", "append",
        "search_job", "describe", "describe_page", "describe_summary", "submit", "plan", "clean",
    },
    TOP: {"jobs", "web"},
}  # fmt: skip
LAYER_OF = {name: layer for layer, names in LAYERS.items() for name in names}
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "jobs").glob("*.py")])


def module_of(path: Path) -> str:
    """`ngrams` for clip_spark/ngrams/count.py, `jobs` for jobs/run.py, `` for clip_spark/__init__.py."""
    if path.parent.name == "jobs":
        return "jobs"
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py").replace("__init__", "")


def imports(tree: ast.AST) -> list[str]:
    """Dotted names of everything that a syntax tree imports."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    layer = LAYER_OF[module_of(path)]
    for name in imports(ast.parse(path.read_text())):
        if name.startswith("clip_spark."):
            parts = name.split(".")
            other = parts[1] if parts[1] in LAYER_OF else ""
            assert LAYER_OF[other] <= layer, f"{path.name} imports {name}, which is a layer above it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_worker_layer_needs_no_spark(path: Path) -> None:
    if LAYER_OF[module_of(path)] > WORKER or module_of(path) == "devices":
        return
    assert not [name for name in imports(ast.parse(path.read_text())) if name.split(".")[0] == "pyspark"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_storage_knows_fsspec(path: Path) -> None:
    found = [name for name in imports(ast.parse(path.read_text())) if name.split(".")[0] in ("fsspec", "s3fs")]
    assert not found or path.name == "storage.py"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_devices_looks_at_devices(path: Path) -> None:
    text = path.read_text()
    assert path.name == "devices.py" or not {"TaskContext", "CUDA_VISIBLE_DEVICES"} & set(text.split())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_argparse_outside_settings_and_jobs(path: Path) -> None:
    found = "argparse" in imports(ast.parse(path.read_text()))
    assert not found or path.name == "settings.py" or module_of(path) == "jobs"
