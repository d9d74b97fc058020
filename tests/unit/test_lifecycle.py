"""Pairs of commands on one dataset: finished work is never lost, and who comes second is told."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from clip_spark import storage
from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.datasets.manifest import read_manifest
from clip_spark.datasets.run import begin_run
from clip_spark.errors import OutputError
from clip_spark.index.build import build as build_module
from clip_spark.index.build.build import build_index
from clip_spark.index.change.remove import remove_records
from clip_spark.index.open.removals import add_removed, read_removed
from clip_spark.index.specs import IndexSpec, RemoveSpec
from tests.helpers_datasets import finished, plan_of, write_shard
from tests.helpers_embeddings import found_texts, numbered, true_texts, unit_vectors, write_embeddings

ROWS = 40
VECTORS, TEXTS = unit_vectors(2 * ROWS), numbered(2 * ROWS)
QUERY = unit_vectors(1, seed=8)[0]


def no_spark() -> object:
    raise AssertionError("no session is needed here")


def build(folder: Path, source: str = "emb", **options: object) -> object:
    for name, rows in (("emb", slice(0, ROWS)), ("more", slice(ROWS, None))):
        if not (folder / name).exists():
            write_embeddings(folder / name, VECTORS[rows], TEXTS[rows])
    spec = {"embeddings": str(folder / source), "output": str(folder / "index"), **options}
    return build_index(no_spark, IndexSpec(**spec))  # type: ignore[arg-type]


def answers(folder: Path, kept: np.ndarray) -> bool:
    """True if a search finds exactly these rows, the nearest first."""
    return found_texts(folder / "index", QUERY, len(TEXTS)) == true_texts(VECTORS, TEXTS, QUERY, kept)


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_record_files_of_two_generations_stay_apart_in_a_compaction(tmp_path: Path) -> None:
    build(tmp_path)
    build(tmp_path, "more", append=True)
    remove_records(no_spark, RemoveSpec(index=str(tmp_path / "index"), where="text = 'text 3'", compact=True))
    assert answers(tmp_path, np.delete(np.arange(2 * ROWS), 3))


def test_of_two_rebuilds_at_once_one_wins_and_the_other_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path)
    monkeypatch.setenv("CLIP_SPARK_GRACE_HOURS", "0")
    measure, others = build_module._measure, [lambda: build(tmp_path, overwrite=True)]

    def meanwhile(*arguments: object) -> object:
        while others:
            others.pop()()
        return measure(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(build_module, "_measure", meanwhile)
    with pytest.raises(OutputError, match="another writer was quicker"):
        build(tmp_path, "more", overwrite=True)
    assert answers(tmp_path, np.arange(ROWS))
    assert len(list((tmp_path / "index" / "parts").iterdir())) == 1


def test_two_takedowns_at_once_are_both_in_effect(tmp_path: Path) -> None:
    index = str(tmp_path / "index")
    add_removed(index, ["a"])
    add_removed(index, ["b"])
    storage.write_json(f"{index}/removed.json", {"record_ids": ["of an older version"]})
    assert read_removed(index) == ["a", "b", "of an older version"]


def test_compaction_merges_takedowns_and_says_how_many_are_new(tmp_path: Path) -> None:
    build(tmp_path)
    index = str(tmp_path / "index")
    for condition, new in (("text = 'text 1'", 1), ("text in ('text 1', 'text 2')", 1)):
        assert ("removed now", new) in remove_records(no_spark, RemoveSpec(index=index, where=condition)).rows
    assert len(os.listdir(f"{index}/removed")) == 2
    remove_records(no_spark, RemoveSpec(index=index, compact=True))
    assert len(os.listdir(f"{index}/removed")) == 1 and len(read_removed(index)) == 2
    assert answers(tmp_path, np.delete(np.arange(ROWS), [1, 2]))


def test_an_output_that_is_holds_or_lies_in_an_input_is_refused(tmp_path: Path) -> None:
    records = write_embeddings(tmp_path / "in" / "records", VECTORS, TEXTS)
    plan = plan_of(source=records.content_fingerprint)
    plan.inputs["records"]["uri"] = records.uri
    before = files_below(tmp_path)
    places = (records.uri, f"{records.uri}/inside", str(tmp_path / "in"))
    for place, relation in zip(places, ("is", "lies inside", "contains"), strict=True):
        with pytest.raises(OutputError, match=f"{relation} the input records"):
            begin_run(place, plan, overwrite=True)
    assert files_below(tmp_path) == before


def test_the_old_generation_is_served_until_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "d"
    finished(place)
    (place / "notes.txt").write_text("the user's own")
    (place / "embeddings" / "mine.txt").write_text("too")
    old = read_manifest(str(place))
    begun = begin_run(str(place), plan_of(size=3), overwrite=True)
    write_shard(begun, 0)
    assert read_manifest(str(place)) == old and all(os.path.exists(file) for file in old.files("embeddings"))
    again = begin_run(str(place), plan_of(size=3), overwrite=True)
    assert again.pending() == [1]  # the same command goes on after a kill
    write_shard(again, 1)
    new = again.commit()
    assert new.files("embeddings") != old.files("embeddings") and all(map(os.path.exists, old.files("embeddings")))
    assert storage.read_json(new.locate("report.json"))["rows_out"] == 4
    assert finished_again(place, monkeypatch).rows == 4
    assert not any(map(os.path.exists, [*old.files("embeddings"), *new.files("embeddings")]))
    assert (place / "notes.txt").exists() and (place / "embeddings" / "mine.txt").exists()


def finished_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A third generation, whose commit finds that the grace time of both before is over."""
    monkeypatch.setenv("CLIP_SPARK_GRACE_HOURS", "0")
    run = begin_run(str(place), plan_of(size=4), overwrite=True)
    for number in run.pending():
        write_shard(run, number)
    run.commit()
    return read_manifest(str(place))


def test_another_kind_of_dataset_is_not_overwritten(tmp_path: Path) -> None:
    build(tmp_path)
    with pytest.raises(OutputError, match="holds index; --overwrite replaces embeddings by embeddings only"):
        begin_run(str(tmp_path / "index"), plan_of(), overwrite=True)
    with pytest.raises(OutputError, match="holds embeddings; an index does not replace it"):
        build(tmp_path, output=str(tmp_path / "more"), overwrite=True)


def test_of_two_overwrites_the_second_to_commit_changes_nothing(tmp_path: Path) -> None:
    finished(tmp_path / "d")
    runs = [begin_run(str(tmp_path / "d"), plan_of(size=size), overwrite=True) for size in (3, 4)]
    for run in runs:
        for number in run.pending():
            write_shard(run, number)
    won = runs[0].commit()
    before = files_below(tmp_path)
    with pytest.raises(OutputError, match="another writer was quicker .embeddings of 4 rows"):
        runs[1].commit()
    lost = {path for path in before if path.startswith(f"d/{runs[1].place}/")}
    assert files_below(tmp_path) == {path: data for path, data in before.items() if path not in lost}
    assert read_manifest(str(tmp_path / "d")) == won


def test_a_disk_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert storage.create_bytes(f"{tmp_path}/a", b"1") and not storage.create_bytes(f"{tmp_path}/a", b"2")
    finished(tmp_path / "d")
    assert sorted(os.listdir(tmp_path)) == ["a", "d"] and storage.read_bytes(f"{tmp_path}/a") == b"1"


def test_cleaning_leaves_the_first_generation_of_an_index_that_was_appended_to(tmp_path: Path) -> None:
    build(tmp_path)
    build(tmp_path, "more", append=True)
    list(delete_each(find_leftovers(str(tmp_path), older_than_hours=0, unfinished=True)))
    assert answers(tmp_path, np.arange(2 * ROWS))
    assert not list(find_leftovers(str(tmp_path), older_than_hours=0, unfinished=True))


def test_a_first_run_that_was_killed_gives_way_to_one_whose_input_has_changed_since(tmp_path: Path) -> None:
    alive = begin_run(str(tmp_path / "d"), plan_of(source="v1"), overwrite=False)
    write_shard(alive, 0)
    second = begin_run(str(tmp_path / "d"), plan_of(source="v2"), overwrite=False)
    assert second.pending() == [0, 1] and second.place.startswith("generations/")
    for number in (0, 1):
        write_shard(second, number)
    committed = second.commit()
    write_shard(alive, 1)
    with pytest.raises(OutputError, match="another writer was quicker|plan of this run was deleted"):
        alive.commit()
    assert read_manifest(second.output.rpartition("/generations/")[0]) == committed
    assert not [path for path in committed.owned() if not (tmp_path / "d" / path).exists()]
    assert {path.name for path in (tmp_path / "d").iterdir() if path.is_file()} == {"manifest.json"}
