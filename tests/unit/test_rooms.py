"""The house: rooms lie on floors, imports point down only, and each file's tag says where it may run.

Read from the source; nothing is imported.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clip_spark"
FLOORS = (
    ("jobs", "api"),
    ("commands", "web"),
    ("analysis",),
    ("search",),
    ("index",),
    ("embed",),
    ("encoders",),
    ("texts", "pictures"),
    ("runtime",),
    ("datasets",),
    ("storage",),
    ("errors", "demo", ""),
    ("blas", "openmp"),
)
"""From the roof to the ground; the rooms of one floor do not know each other. `` is clip_spark/__init__.py.

`api` stands beside `jobs`, for it calls what a job file calls: the registry, options, and the step."""
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "jobs").glob("*.py")])
TAG = re.compile(r"\*(Driver|Worker|Anywhere|Pure|Server)\.\*")
NO_SPARK = ("storage", "datasets", "pictures", "encoders", "search", "web", "errors")
"""Rooms whose code runs on a laptop without Spark: they import pyspark nowhere, not even inside a function."""

every_file = pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))


def room_of(path: Path) -> str:
    """`texts` for clip_spark/texts/tokens.py, `jobs` for jobs/run.py, `` for clip_spark/__init__.py."""
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


def imported(path: Path) -> list[str]:
    return imports(ast.parse(path.read_text()))


def file_of(name: str) -> Path | None:
    """The file of ours that an imported dotted name means."""
    place = ROOT / name.replace(".", "/")
    found = (
        place.with_suffix(".py"),
        place / "__init__.py",
        place.parent.with_suffix(".py"),
        place.parent / "__init__.py",
    )
    return next((file for file in found if file.exists()), None)


def tag_of(path: Path) -> str:
    """Where a file says that it runs."""
    found = TAG.search((ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0])
    return found[1] if found else ""


@every_file
def test_imports_point_down(path: Path) -> None:
    mine = room_of(path)
    for name in imported(path):
        if name.startswith("clip_spark."):
            other = name.split(".")[1]
            other = other if other in FLOOR_OF else ""
            below = FLOOR_OF[other] > FLOOR_OF[mine]
            assert below or other == mine or mine == "", f"{path.name} imports {name}, which is no floor below it"


@every_file
def test_rooms_without_spark_do_not_import_it(path: Path) -> None:
    if room_of(path) in NO_SPARK:
        assert not [name for name in imported(path) if name.split(".")[0] == "pyspark"]


@every_file
def test_a_file_has_the_tag_of_what_it_imports(path: Path) -> None:
    tag = tag_of(path)
    if path.name == "__init__.py" or room_of(path) in ("jobs", ""):
        return
    assert tag, f"{path.name} does not say where it runs: *Driver.*, *Worker.*, *Anywhere.*, *Pure.* or *Server.*"
    if tag == "Driver":
        return
    used = [name for name in imported(path) if name.startswith("clip_spark.")]
    drivers = [name for name in used if (file := file_of(name)) and tag_of(file) == "Driver"]
    assert not drivers, f"{path.name} is tagged {tag} and imports {drivers}"


@every_file
def test_only_storage_knows_fsspec(path: Path) -> None:
    found = [name for name in imported(path) if name.split(".")[0] in ("fsspec", "s3fs")]
    assert not found or room_of(path) == "storage"


@every_file
def test_only_devices_looks_at_devices(path: Path) -> None:
    assert path.name == "devices.py" or not {"TaskContext", "CUDA_VISIBLE_DEVICES"} & set(path.read_text().split())


@every_file
def test_no_argparse_outside_options_and_jobs(path: Path) -> None:
    assert "argparse" not in imported(path) or path.name == "options.py" or room_of(path) == "jobs"


@every_file
def test_only_the_console_prints(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    printed = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]
    assert not printed or path.name == "console.py"


def test_every_room_says_what_lives_there() -> None:
    for room in FLOOR_OF:
        if (PACKAGE / room).is_dir() and room:
            text = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
            assert text and len(text.splitlines()) <= 20, room
