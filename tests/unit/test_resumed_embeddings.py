"""embed-images and embed-text that were killed and run again equal runs that nobody disturbed; so does a growth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from clip_spark.datasets.manifest import Manifest
from clip_spark.embed import pictures as pictures_module
from clip_spark.embed import texts as texts_module
from clip_spark.embed.specs import EmbedTextSpec
from clip_spark.embed.texts import embed_text
from tests.helpers_growth import draw, embed, no_session, tasks_run_here

TIMES = ("seconds", "created", "seconds_by_stage", "wall_seconds", "rows_per_second", "replaced", "beside", "place")
"""What a clock says, and names that follow from it."""


def told(manifest: Manifest) -> str:
    """Manifest, report, and all rejects, without times; the order of keys counts too."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items() if key not in TIMES}
        return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value

    rejects = [pq.read_table(uri).to_pylist() for uri in manifest.files("rejects")]
    report = json.loads(Path(manifest.locate("report.json")).read_text())
    found = json.dumps([plain(manifest.to_json()), plain(report), rejects], default=list)
    return found.replace(f"{manifest.place}/", "") if manifest.place else found


def killed_in(patch: pytest.MonkeyPatch, work: Any, number: int) -> None:
    """The machine goes away in the task of one shard; those behind it never run."""
    write = work.__call__

    def dies(self: Any, item: Any) -> Any:
        if item.number == number:
            raise MemoryError("the machine is gone")
        return write(self, item)

    patch.setattr(work, "__call__", dies)


def disturbed(patch: pytest.MonkeyPatch, work: Any, number: int, run: Callable[[], Manifest]) -> Manifest:
    with patch.context() as once:
        killed_in(once, work, number)
        with pytest.raises(MemoryError):
            run()
    return run()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five pictures with captions, one of them empty, and two that are none."""
    tasks_run_here(monkeypatch)
    for name in "abcde":
        draw(tmp_path / "in", f"{name}.png")
        (tmp_path / "in" / f"{name}.txt").write_text("" if name == "c" else f"a picture of {name}")
    for name in ("bad", "worse"):
        (tmp_path / "in" / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    return tmp_path


@pytest.mark.parametrize("number", [0, 2])
def test_embed_images(folder: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    quiet = embed(folder, output=str(folder / "quiet"))
    loud = disturbed(monkeypatch, pictures_module.PictureWork, number, lambda: embed(folder))
    assert told(loud) == told(quiet) and sum(loud.rejects.values()) == 2
    draw(folder / "in", "f.png")
    (folder / "in" / "z.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    quiet = embed(folder, output=str(folder / "quiet"))
    loud = disturbed(monkeypatch, pictures_module.PictureWork, 4, lambda: embed(folder))
    assert told(loud) == told(quiet) and sum(loud.rejects.values()) == 3 and loud.rows == 6


def test_embed_text(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed(folder)

    def captions(name: str) -> Manifest:
        spec = {"records": (str(folder / "emb"),), "text_column": "caption", "shard_rows": 2, "precision": "fp32"}
        return embed_text(no_session, EmbedTextSpec(output=str(folder / name), **spec))  # type: ignore[arg-type]

    quiet = captions("quiet")
    loud = disturbed(monkeypatch, texts_module.TextWork, 1, lambda: captions("loud"))
    assert told(loud) == told(quiet) and loud.rejects == {"no text": 1}
