"""The readers' fuzz in small: `make fuzz` reads 5,000 mutated files of each format."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/fuzz_readers.py"


def test_mutated_files_are_rows_rejects_or_damage() -> None:
    formats = ["a.csv", "a.json", "a.parquet", "a.arrow", "a.tar"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--files", "40", "--formats", *formats], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:]
