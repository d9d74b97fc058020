"""Builds wheel and sdist of what is committed, and checks both: complete, equal, and working in a fresh venv.

    python scripts/check_release.py dist

The environment has the wheel and nothing else of ours; third-party packages come from the one that runs this script, so
that nothing is downloaded.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INSTALLED_AS = {"clip_spark": "clip_spark", "jobs": "clip_spark/jobs", "conf": "clip_spark/conf"}
CHECKS = (
    ("clip-spark", "--version"),
    ("clip-spark", "--help"),
    ("clip-spark", "plan", "--pictures", "1M"),  # needs conf/
    ("clip-spark", "submit", "emr", "--cluster", "j", "--code", "s3://b/c", "make-records", "--rows", "s3://b/r",
     "--output", "s3://b/o"),
    ("python", "-c", "from clip_spark.commands.demo_data import unpack; unpack('work')"),
    ("python", "-c", "from clip_spark.encoders import *; load_encoder(EncoderSpec('demo')).encode_texts(['dog'])"),
)  # fmt: skip
"""Commands that must succeed; together they need the console script, jobs, conf, and the demo's data and model."""


def expected_files() -> set[str]:
    """What a wheel must hold: every tracked file of the package, of jobs and of conf."""
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", *INSTALLED_AS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = (Path(line) for line in listed.stdout.splitlines())
    return {f"{INSTALLED_AS[name.parts[0]]}/{name.relative_to(name.parts[0])}" for name in names} - LEFT_OUT


LEFT_OUT = {"clip_spark/README.md"}
"""For developers; it is a page of the documentation."""


def build(source: Path, target: Path) -> tuple[Path, Path]:
    """Wheel and sdist of a source folder."""
    code = "import sys; from setuptools import build_meta as b; to = sys.argv[1]; b.build_wheel(to); b.build_sdist(to)"
    subprocess.run([sys.executable, "-c", code, str(target)], cwd=source, check=True, capture_output=True)
    return next(target.glob("*.whl")), next(target.glob("*.tar.gz"))


@contextlib.contextmanager
def committed() -> Iterator[Path]:
    """A folder with what is committed: no file of an older build, nothing half done."""
    with tempfile.TemporaryDirectory() as folder:
        content = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def wheel_files(wheel: Path) -> set[str]:
    """Names of the package's files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}


@contextlib.contextmanager
def unpacked(sdist: Path) -> Iterator[Path]:
    """The folder that an sdist unpacks to."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
        yield next(Path(folder).iterdir())


def check_in_fresh_environment(wheel: Path, folder: Path) -> None:
    """Install the wheel and run CHECKS in an empty folder."""
    venv.create(folder / "venv", with_pip=True)
    bin_folder = folder / "venv" / "bin"
    subprocess.run([bin_folder / "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    site = subprocess.run(
        [bin_folder / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    paths = [path for path in {sysconfig.get_path("purelib"), *sys.path} if path.endswith("site-packages")]
    (Path(site) / "packages_of_others.pth").write_text("\n".join(paths) + "\n")
    (folder / "empty").mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for program, *arguments in CHECKS:
        command = [str(bin_folder / program), *arguments]
        done = subprocess.run(
            command, cwd=folder / "empty", env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"`{program} {' '.join(arguments)}` failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def main(argv: Sequence[str] | None = None) -> int:
    """Build, compare, install, try."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write wheel and sdist; must be empty or absent")
    target = parser.parse_args(argv).folder.resolve()
    if target.exists() and any(target.iterdir()):
        raise SystemExit(f"'{target}' is not empty; delete what an older release has left there.")
    target.mkdir(parents=True, exist_ok=True)
    with committed() as source:
        wheel, sdist = build(source, target)
    if missing := expected_files() - wheel_files(wheel):
        raise SystemExit(f"The wheel lacks {', '.join(sorted(missing)[:5])} ({len(missing)} files).")
    with tempfile.TemporaryDirectory() as folder, unpacked(sdist) as source:
        again, _ = build(source, Path(folder))
        if odd := wheel_files(again) ^ wheel_files(wheel):
            raise SystemExit(f"The sdist builds another wheel: {', '.join(sorted(odd)[:5])} ({len(odd)} files).")
        check_in_fresh_environment(wheel, Path(folder))
    print(f"{wheel}\n{sdist}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
