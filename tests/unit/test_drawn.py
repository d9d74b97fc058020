"""What scripts draw from the code is what they would draw now: the map, the stub of the API, the tables of speed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {path.parent.name for path in (ROOT / "clip_spark").glob("*/__init__.py")}


@pytest.mark.parametrize("script", ["draw_map.py", "make_stub.py", "write_tables.py"])
def test_drawn_files_are_up_to_date(script: str) -> None:
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / script), "--check"], check=False)
    assert done.returncode == 0, f"run `make format`, or python scripts/{script}"


def test_the_map_has_every_room_and_every_file() -> None:
    page = (ROOT / "clip_spark" / "README.md").read_text()
    for room in ROOMS - {"demo"}:
        assert f"\n### {room}/\n" in page, room
        for path in (ROOT / "clip_spark" / room).rglob("*.py"):
            if path.name != "__init__.py":
                assert f"| `{path.relative_to(ROOT / 'clip_spark' / room)}` |" in page, path
