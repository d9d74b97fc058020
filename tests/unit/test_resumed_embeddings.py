"""embed-images and embed-text that were killed and run again equal runs that nobody disturbed; so does a growth."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.datasets import run as run_module
from clip_spark.datasets.embeddings import read_embeddings
from clip_spark.datasets.manifest import Manifest
from clip_spark.embed import pictures as pictures_module
from clip_spark.embed import texts as texts_module
from clip_spark.embed.specs import EmbedTextSpec
from clip_spark.embed.texts import embed_text
from clip_spark.errors import OutputError
from tests.helpers_growth import draw, embed, no_session, tasks_run_here
from tests.helpers_resumed import disturbed, killed_in, told


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


def captions(folder: Path, name: str) -> Manifest:
    spec = {"records": (str(folder / "emb"),), "text_column": "caption", "shard_rows": 2, "precision": "fp32"}
    return embed_text(no_session, EmbedTextSpec(output=str(folder / name), **spec))  # type: ignore[arg-type]


def test_embed_text(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed(folder)
    quiet = captions(folder, "quiet")
    loud = disturbed(monkeypatch, texts_module.TextWork, 1, lambda: captions(folder, "loud"))
    assert told(loud) == told(quiet) and loud.rejects == {"no text": 1}


def encoded(patch: pytest.MonkeyPatch, work: Any, run: Callable[[], Manifest]) -> tuple[Manifest, list[int]]:
    """What a run makes, and the numbers of the shards for which it asked the model."""
    asked: list[int] = []
    write = work.__call__
    with patch.context() as once:
        once.setattr(work, "__call__", lambda self, item: (asked.append(item.number), write(self, item))[1])
        return run(), asked


def contents(manifest: Manifest) -> tuple[dict[str, Any], dict[str, Any], list[str], dict[str, Any]]:
    """Records and vectors by id, rejects, and the totals of the report, whatever shard they are in."""
    rows, vectors = {}, {}
    for records, embeddings in zip(manifest.files("records"), manifest.files("embeddings"), strict=True):
        found = pq.read_table(records).to_pylist()
        rows.update({row["record_id"]: row for row in found})
        vectors.update(zip((row["record_id"] for row in found), read_embeddings(embeddings), strict=True))
    rejects = sorted(str(row) for uri in manifest.files("rejects") for row in pq.read_table(uri).to_pylist())
    report = json.loads(Path(manifest.locate("report.json")).read_text())
    return rows, vectors, rejects, {name: report[name] for name in ("rows_in", "rows_out", "rejects")}


def check_same(one: Manifest, other: Manifest) -> None:
    """The last bits of a vector depend on what else was in its batch."""
    (rows, vectors, *rest), (wanted_rows, wanted, *wanted_rest) = contents(one), contents(other)
    assert rows == wanted_rows and rest == wanted_rest
    np.testing.assert_allclose([vectors[key] for key in wanted], list(wanted.values()), atol=1e-6)


def test_pictures_that_come_after_a_first_run_was_killed_lose_no_shard(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = pictures_module.PictureWork
    first = partial(embed, folder)
    killed_in(monkeypatch, work, 3, first)
    for name in "fgh":
        draw(folder / "in", f"{name}.png")
    # three shards are taken over, a fourth is made, then that is killed too
    killed_in(monkeypatch, work, 4, first)
    draw(folder / "in", "i.png")
    (folder / "in" / "a.png").unlink()
    grown, asked = encoded(monkeypatch, work, first)
    check_same(grown, embed(folder, output=str(folder / "quiet")))
    assert grown.extra["taken_over"] == {"shards": 3, "rows": 4}
    assert len(asked) == 3 and "growth" not in grown.extra
    assert not (folder / "emb" / "plan.json").exists()
    assert embed(folder).created == grown.created


def test_texts_that_come_after_a_first_run_was_killed_lose_no_shard(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(folder)
    first = partial(captions, folder, "loud")
    killed_in(monkeypatch, texts_module.TextWork, 2, first)
    for name in "fgh":
        draw(folder / "in", f"{name}.png")
        (folder / "in" / f"{name}.txt").write_text(f"a drawing of {name}")
    embed(folder)
    grown, asked = encoded(monkeypatch, texts_module.TextWork, first)
    check_same(grown, captions(folder, "quiet"))
    assert grown.extra["taken_over"]["shards"] == 2 and len(asked) == 3


def test_a_run_on_other_input_does_not_take_the_folder_of_one_that_was_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_in(monkeypatch, pictures_module.PictureWork, 3, lambda: embed(folder))
    draw(folder / "other", "x.png")
    with pytest.raises(OutputError, match="holds another run: the input images was"):
        embed(folder, images=(str(folder / "other"),))
    with pytest.raises(OutputError, match="holds another run: shard-rows was 2, now 3"):
        embed(folder, shard_rows=3)


def test_clean_finds_what_a_killed_first_run_left_beside_a_dataset(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_in(monkeypatch, pictures_module.PictureWork, 3, lambda: embed(folder))
    draw(folder / "in", "f.png")
    with monkeypatch.context() as once:
        once.setattr(run_module, "drop_superseded", lambda _: None)
        grown = embed(folder)
    (folder / "emb" / "thesis.txt").write_text("years of work")
    left = list(delete_each(find_leftovers(str(folder), older_than_hours=0, unfinished=False)))
    assert [one.uri for one in left if one.kind == "abandoned generation"] == [str(folder / "emb")]
    there = {str(path.relative_to(folder / "emb")) for path in (folder / "emb").rglob("*") if path.is_file()}
    assert there == {*grown.owned(), "manifest.json", "thesis.txt"}
    assert not list(find_leftovers(str(folder), older_than_hours=0, unfinished=True))
