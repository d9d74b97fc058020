"""Makes what a cluster needs: `clip_spark.zip` for --py-files, and the packed environment for --archives.

    python scripts/package.py dist                    # dist/clip_spark.zip and dist/jobs/*.py: our code, seconds
    python scripts/package.py dist --environment      # also dist/environment.tar.gz: this virtual environment

venv-pack does not carry the interpreter: make the environment on a machine like the cluster's (same distribution,
same Python at the same path), as docs/cluster.md shows.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"clip_spark": "clip_spark", "jobs": "clip_spark/jobs", "conf": "clip_spark/conf"}
LEFT_OUT = {"__pycache__", "pictures", "text"}
"""The demo's pictures and text stay out: they are unpacked on the driver, which has an installation."""


def package_files() -> Iterator[tuple[Path, str]]:
    """(file, name in the zip), as an installation lays them out: jobs and conf inside the package."""
    for folder, inside in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and not LEFT_OUT & set(path.relative_to(ROOT / folder).parts):
                yield path, f"{inside}/{path.relative_to(ROOT / folder)}"


def make_zip(target: Path) -> Path:
    """The code as a zip that Python imports from; the same bytes for the same code."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, name in package_files():
            entry = zipfile.ZipInfo(name)  # the date stays 1980
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return target


def copy_jobs(target: Path) -> Path:
    """The job files themselves: spark-submit wants one of them beside the zip."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted((ROOT / "jobs").glob("*.py")):
        shutil.copy(path, target / path.name)
    return target


def pack_environment(target: Path) -> Path:
    """This virtual environment as an archive; needs `pip install venv-pack`."""
    command = [str(Path(sys.executable).parent / "venv-pack"), "-p", sys.prefix, "-o", str(target), "--force"]
    subprocess.run(command, check=True)
    return target


def main(argv: Sequence[str] | None = None) -> int:
    """Make the files and name them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--environment", action="store_true", help="pack the virtual environment too (minutes, GBs)")
    given = parser.parse_args(argv)
    made = [make_zip(given.folder / "clip_spark.zip"), copy_jobs(given.folder / "jobs")]
    if given.environment:
        made.append(pack_environment(given.folder / "environment.tar.gz"))
    for path in made:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
