"""build-index on embeddings that have grown adds what is new, and no record is in an index twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.errors import InputError, OutputError
from clip_spark.index.build.build import build_index
from clip_spark.index.change.remove import remove_records
from clip_spark.index.files.layout import read_index
from clip_spark.index.specs import IndexSpec, RemoveSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_growth import draw, embed, rows_by_uri, tasks_run_here


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks_run_here(monkeypatch)


def no_spark() -> Any:
    raise AssertionError("a small index needs no session")


def build(folder: Path, *sets: str, **options: Any) -> Manifest:
    given = tuple(str(folder / name) for name in sets or ("emb",))
    return build_index(no_spark, IndexSpec(embeddings=given, output=str(folder / "index"), **options))


def names(folder: Path) -> list[str]:
    """The pictures that a search finds, each as often as it is found, sorted."""
    searcher = Searcher.open(str(folder / "index"))
    hits = searcher.search_embedding(np.eye(1, searcher.info.dim, dtype=np.float32)[0], 100)
    return sorted(hit.record["uri"].rpartition("/")[2].partition(".")[0] for hit in hits)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index of a set of three pictures."""
    for name in "abc":
        draw(tmp_path / "in", f"{name}.png")
    embed(tmp_path)
    build(tmp_path)
    return tmp_path


def test_a_set_that_has_grown_is_appended_to_its_index(folder: Path) -> None:
    _, before = read_index(str(folder / "index"))
    for name in "de":
        draw(folder / "in", f"{name}.png")
    grown_set = embed(folder)
    grown = build(folder)
    _, info = read_index(str(folder / "index"))
    assert grown.news == "2 new" and names(folder) == list("abcde")
    assert info.parts[: len(before.parts)] == before.parts and info.records[: len(before.records)] == before.records
    for name, row in rows_by_uri(grown_set).items():
        best = Searcher.open(str(folder / "index")).search_embedding(row["vector"], 1)[0]
        assert best.record["uri"].endswith(name) and best.record["width"] == row["width"]
    assert build(folder) == read_manifest(str(folder / "index"))


def test_an_index_follows_a_set_from_which_something_was_taken_out(folder: Path) -> None:
    (folder / "in" / "a.png").unlink()
    draw(folder / "in", "d.png")
    embed(folder)
    build(folder)
    assert names(folder) == list("abcd")
    embed(folder, prune=True)
    build(folder)
    assert names(folder) == list("bcd")


def test_a_set_that_holds_old_and_new_records_brings_only_the_new(folder: Path) -> None:
    for name in "de":
        draw(folder / "in", f"{name}.png")
    embed(folder, output=str(folder / "all"), shard_rows=4)
    grown = build(folder, "all", append=True)
    assert grown.news == "2 new; 3 left out, which it has already" and names(folder) == list("abcde")
    assert not (folder / "index" / "building").exists() or not list((folder / "index" / "building").iterdir())
    embed(folder, output=str(folder / "third"), shard_rows=1)
    assert build(folder, "third", append=True).news == "5 left out, which it has already"
    assert names(folder) == list("abcde")


def test_steps_of_a_pipeline_that_build_and_append_are_done_the_second_time(folder: Path) -> None:
    draw(folder / "other", "x.png")
    embed(folder, images=(str(folder / "other"),), output=str(folder / "more"))
    appended = build(folder, "more", append=True)
    assert build(folder).created == appended.created == build(folder, "more", append=True).created
    for name, place in (("d.png", "in"), ("y.png", "other")):
        draw(folder / place, name)
    embed(folder)
    embed(folder, images=(str(folder / "other"),), output=str(folder / "more"))
    assert build(folder).news == "1 new" and build(folder, "more", append=True).news == "1 new"
    assert names(folder) == list("abcdxy")


def test_what_was_appended_is_not_lost_to_a_rebuild(folder: Path) -> None:
    draw(folder / "other", "x.png")
    embed(folder, images=(str(folder / "other"),), output=str(folder / "more"))
    build(folder, "more", append=True)
    (folder / "in" / "a.png").unlink()
    embed(folder, prune=True)
    with pytest.raises(OutputError, match="must be built again: 1 shards of .*; but it also holds .*more"):
        build(folder)
    assert names(folder) == list("abcx")


def test_what_was_taken_down_does_not_come_back_by_growth(folder: Path) -> None:
    remove_records(no_spark, RemoveSpec(index=str(folder / "index"), where="uri like '%a.png'", compact=True))
    draw(folder / "in", "d.png")
    embed(folder)
    build(folder)
    assert names(folder) == list("bcd")
    (folder / "in" / "b.png").unlink()
    embed(folder, prune=True)
    build(folder)
    assert names(folder) == list("cd")


def test_other_options_and_other_sets_are_refused(folder: Path) -> None:
    draw(folder / "in", "d.png")
    embed(folder)
    with pytest.raises(OutputError, match="recall was 0.95, now 0.9"):
        build(folder, recall=0.9)
    draw(folder / "other", "x.png")
    embed(folder, images=(str(folder / "other"),), output=str(folder / "more"))
    with pytest.raises(OutputError, match="the input embeddings was .*emb', now .*more'"):
        build(folder, "more")


def test_a_growth_that_comes_second_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clip_spark.index.change import append

    draw(folder / "in", "d.png")
    embed(folder)
    measure, others = append._tuned, [lambda: build(folder, overwrite=True)]

    def meanwhile(*arguments: Any) -> Any:
        while others:
            others.pop()()
        return measure(*arguments)

    monkeypatch.setattr(append, "_tuned", meanwhile)
    with pytest.raises(OutputError, match="another writer was quicker"):
        build(folder)
    assert names(folder) == list("abcd")


def test_no_byte_of_what_was_erased_comes_back(folder: Path) -> None:
    """Neither by an append of the same picture in another set, nor by a rebuild."""
    index = str(folder / "index")
    remove_records(no_spark, RemoveSpec(index=index, where="uri like '%a.png'", compact=True))
    draw(folder / "in", "d.png")
    embed(folder, output=str(folder / "all"), shard_rows=4)
    news = "1 new; 2 left out, which it has already; 1 left out, which were taken down"
    assert build(folder, "all", append=True).news == news
    assert build(folder, "all", overwrite=True).news == "1 left out, which were taken down"
    list(delete_each(find_leftovers(index, older_than_hours=0, unfinished=False)))
    proof = remove_records(no_spark, RemoveSpec(index=index, verify=True))
    assert ("removed in all", 1) in proof.rows and names(folder) == list("bcd")
    remove_records(no_spark, RemoveSpec(index=index, where="uri is not null"))
    with pytest.raises(InputError, match="All 4 records of --embeddings were taken down from"):
        build(folder, "all", overwrite=True)
