"""The commands in README.md, run in order in a folder where the demo has been run; and the demo itself."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from clip_spark.datasets.manifest import read_manifest
from clip_spark.jobs.cli import main

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.spark


def readme_commands() -> list[str]:
    """The `clip-spark` lines of the README's bash blocks (its sh blocks are for people with other data)."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("clip-spark ")]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, spark: object) -> Path:
    """A folder in which the demo has been run."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "conf").symlink_to(ROOT / "conf")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["demo"]) == 0
    return folder


def test_the_demo_embeds_every_picture_and_tags_it(work: Path) -> None:
    images = read_manifest(str(work / "demo-out" / "image-embeddings"), "embeddings")
    tags = read_manifest(str(work / "demo-out" / "tags"), "tags")
    assert (images.rows, images.rejects, tags.rows) == (1906, {}, 5 * 1906)


def test_a_second_demo_computes_nothing(
    work: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(work)
    before = {path: path.stat().st_mtime_ns for path in (work / "demo-out").rglob("manifest.json")}
    assert main(["demo"]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (work / "demo-out").rglob("manifest.json")}
    assert "broken heart" in capfd.readouterr().out


def test_every_command_of_the_readme_works(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work)
    commands = readme_commands()
    assert len(commands) >= 11
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0, command


def test_the_python_of_the_readme_works(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(work)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)
    assert len(found["hits"]) == len(found["more"]) == 5 and found["ngrams"].rows == 200
    said = capsys.readouterr().out
    assert re.search(r"\| +n\|", said) and "caption" in said


@pytest.mark.parametrize("name", [file.stem for file in sorted((ROOT / "notebooks").glob("*.py"))])
def test_every_cell_of_a_notebook_runs(work: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(work)
    matplotlib.use("Agg")
    found: dict[str, Any] = {}
    exec(compile((ROOT / "notebooks" / f"{name}.py").read_text(), name, "exec"), found)
    if name == "classes_of_text":  # what the page says of the demo's pictures
        assert (found["group"] == found["chosen"]).mean() > 0.7
        sure = (found["group"] == found["chosen"]).groupby(found["parts"], observed=True).mean()
        assert sure.is_monotonic_increasing
