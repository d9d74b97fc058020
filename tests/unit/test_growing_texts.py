"""embed-text on records that have grown embeds only those that are new, and follows what its records have lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.embed import texts as texts_module
from clip_spark.embed.specs import EmbedTextSpec
from clip_spark.embed.texts import embed_text
from tests.helpers_growth import draw, embed, no_session, rows_by_uri, tasks_run_here


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the shards that were embedded."""
    tasks_run_here(monkeypatch)
    found: list[int] = []
    write = texts_module.TextWork.__call__
    monkeypatch.setattr(
        texts_module.TextWork, "__call__", lambda work, shard: (found.append(shard.number), write(work, shard))[1]
    )
    return found


def captions(folder: Path, **options: Any) -> Manifest:
    spec = {"records": (str(folder / "emb"),), "output": str(folder / "texts"), "text_column": "caption"}
    return embed_text(no_session, EmbedTextSpec(**{**spec, "shard_rows": 2, "precision": "fp32", **options}))


def draw_with_caption(folder: Path, name: str) -> None:
    draw(folder, f"{name}.png")
    (folder / f"{name}.txt").write_text(f"a picture of {name}")


def test_captions_of_new_pictures_are_added(tmp_path: Path, done: list[int]) -> None:
    for name in "abc":
        draw_with_caption(tmp_path / "in", name)
    embed(tmp_path)
    before = captions(tmp_path)
    draw_with_caption(tmp_path / "in", "d")
    embed(tmp_path)
    del done[:]
    grown = captions(tmp_path)
    assert done == [2] and grown.news == "1 new"
    assert grown.files("embeddings")[:2] == before.files("embeddings")
    scratch = rows_by_uri(captions(tmp_path, output=str(tmp_path / "scratch")))
    found = rows_by_uri(grown)
    assert {name: row["text"] for name, row in found.items()} == {name: row["text"] for name, row in scratch.items()}
    assert all(abs(found[name]["vector"] - scratch[name]["vector"]).max() < 1e-5 for name in scratch)
    assert captions(tmp_path) == read_manifest(str(tmp_path / "texts"))


def test_captions_of_pictures_that_were_taken_out_go_too(tmp_path: Path, done: list[int]) -> None:
    for name in "abcdef":
        draw_with_caption(tmp_path / "in", name)
    embed(tmp_path)
    captions(tmp_path)
    (tmp_path / "in" / "a.png").unlink()
    embed(tmp_path, prune=True)
    del done[:]
    found = captions(tmp_path)
    assert sorted(rows_by_uri(found)) == [f"{name}.png" for name in "bcdef"] and len(done) == 1


def test_records_that_were_made_anew_are_embedded_anew(tmp_path: Path, done: list[int]) -> None:
    for name in "ab":
        draw_with_caption(tmp_path / "in", name)
    embed(tmp_path)
    captions(tmp_path)
    draw_with_caption(tmp_path / "in", "c")
    embed(tmp_path, overwrite=True)
    assert sorted(rows_by_uri(captions(tmp_path))) == ["a.png", "b.png", "c.png"]
    assert captions(tmp_path).extra.get("growth") is None
