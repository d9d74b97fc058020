"""clean: finds what killed jobs leave, and touches nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from clip_spark import storage
from clip_spark.commands.clean import find_leftovers
from clip_spark.datasets.run import begin_run
from clip_spark.jobs import clean as command
from tests.unit.test_manifest import finished, plan_of, write_shard


def found(place: Path, unfinished: bool = False, hours: float = 0.0) -> list[tuple[str, str]]:
    leftovers = find_leftovers(str(place), older_than_hours=hours, unfinished=unfinished)
    return [(one.kind, one.uri.removeprefix(f"{place}/")) for one in leftovers]


def test_a_finished_dataset_has_nothing_to_clean(tmp_path: Path) -> None:
    finished(tmp_path / "d")
    assert found(tmp_path, unfinished=True) == []


def test_temporary_files_of_a_killed_writer_are_found_unless_they_are_young(tmp_path: Path) -> None:
    run = finished(tmp_path / "d")
    storage.write_bytes(f"{run.output}/embeddings/.00000.parquet.abc.tmp", b"half")
    storage.write_bytes(f"{tmp_path}/d/notes.tmp", b"the user's")
    assert found(tmp_path) == [("temporary file", "d/embeddings/.00000.parquet.abc.tmp")]
    assert found(tmp_path, hours=1) == []


def test_index_builds_that_never_ended_are_found(tmp_path: Path) -> None:
    place = tmp_path / "i"
    storage.write_json(f"{place}/plan.json", {})
    storage.write_json(f"{place}/manifest.json", {"kind": "index", "extra": {"generation": "bb"}})
    for name in ("building/cc/0/index_0", "parts/aa/part-000.index", "parts/bb/part-000.index"):
        storage.write_bytes(f"{place}/{name}", b"faiss")
    assert found(tmp_path) == [
        ("building folder", "i/building/cc/0/index_0"),
        ("old generation", "i/parts/aa/part-000.index"),
    ]


def test_an_unfinished_run_is_deleted_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shard(begin_run(str(tmp_path / "d"), plan_of(), overwrite=False), 0)
    assert found(tmp_path) == [] and found(tmp_path, unfinished=True) == [("unfinished run", "d")]
    assert command.main([str(tmp_path), "--older-than", "0", "--unfinished"]) == 0
    assert (tmp_path / "d").exists() and "--delete deletes them" in capsys.readouterr().out
    assert command.main([str(tmp_path), "--older-than", "0", "--unfinished", "--delete"]) == 0
    assert not (tmp_path / "d").exists()


def test_a_missing_folder_is_a_mistake(tmp_path: Path) -> None:
    assert command.main([str(tmp_path / "absent")]) == 2
