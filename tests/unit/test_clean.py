"""clean: finds what killed jobs leave, and touches nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clip_spark import storage
from clip_spark.commands.clean import find_leftovers
from clip_spark.datasets.commit import fence
from clip_spark.datasets.manifest import read_manifest
from clip_spark.datasets.run import begin_run
from clip_spark.errors import ClipSparkError, OutputError
from clip_spark.jobs import clean as command
from tests.helpers_datasets import finished, plan_of, write_shard


def found(place: Path, unfinished: bool = False, hours: float = 0.0) -> list[tuple[str, str]]:
    leftovers = find_leftovers(str(place), older_than_hours=hours, unfinished=unfinished)
    return [(one.kind, one.uri.removeprefix(f"{place}/")) for one in leftovers]


def test_a_finished_dataset_has_nothing_to_clean(tmp_path: Path) -> None:
    finished(tmp_path / "d")
    assert found(tmp_path, unfinished=True) == []


def test_temporary_files_of_a_killed_writer_are_found_unless_they_are_young(tmp_path: Path) -> None:
    run = finished(tmp_path / "d")
    killed = f"embeddings/.00000.parquet.{'a' * 32}.tmp"
    storage.write_bytes(f"{run.output}/{killed}", b"half")
    for name in ("notes.tmp", ".notes.tmp"):
        storage.write_bytes(f"{tmp_path}/d/{name}", b"the user's")
    assert found(tmp_path) == [("temporary file", f"d/{killed}")]
    assert found(tmp_path, hours=1) == []


def test_generations_that_nobody_committed_are_found_and_their_writers_barred(tmp_path: Path) -> None:
    run = finished(tmp_path / "d")
    alive = begin_run(run.output, plan_of(size=3), overwrite=True)
    for number in alive.pending():
        write_shard(alive, number)
    storage.write_bytes(f"{run.output}/building/0000aaaa/0/index_0", b"faiss")
    storage.write_bytes(f"{run.output}/parts/notes/mine.txt", b"the user's")
    places = [alive.place, "parts/0000aaaa"]
    assert found(tmp_path) == [("abandoned generation", f"d/{place}") for place in places]
    before = read_manifest(run.output)
    assert command.main([str(tmp_path), "--older-than", "0", "--delete"]) == 0
    assert found(tmp_path) == [] and Path(run.output, "parts/notes/mine.txt").exists()
    assert replace(read_manifest(run.output), fenced=()) == before
    with pytest.raises(ClipSparkError, match="shards are missing"):
        alive.commit()


def test_a_writer_that_is_barred_loses_even_when_its_files_are_there(tmp_path: Path) -> None:
    run = finished(tmp_path / "d")
    alive = begin_run(run.output, plan_of(size=3), overwrite=True)
    for number in alive.pending():
        write_shard(alive, number)
    assert fence(run.output, alive.place)
    with pytest.raises(OutputError, match="took this run for dead"):
        alive.commit()


def test_a_fence_around_another_does_not_stop_a_writer(tmp_path: Path) -> None:
    run = finished(tmp_path / "d")
    alive = begin_run(run.output, plan_of(size=3), overwrite=True)
    for number in alive.pending():
        write_shard(alive, number)
    assert fence(run.output, "generations/00000000")
    assert alive.commit().fenced == ("generations/00000000",)
    assert not fence(run.output, alive.place)


def test_what_was_replaced_is_deleted_when_it_is_old_and_nothing_else(tmp_path: Path) -> None:
    run = finished(tmp_path / "d")
    storage.write_bytes(f"{run.output}/embeddings/mine.txt", b"the user's")
    second = begin_run(run.output, plan_of(size=3), overwrite=True)
    for number in second.pending():
        write_shard(second, number)
    manifest = second.commit()
    assert found(tmp_path, hours=1) == []
    ((kind, path),) = found(tmp_path)
    assert kind == "replaced generation" and path.startswith("d/history/")
    assert command.main([str(tmp_path), "--older-than", "0", "--delete"]) == 0
    left = {str(file.relative_to(run.output)) for file in Path(run.output).rglob("*") if file.is_file()}
    assert left == {"manifest.json", "embeddings/mine.txt", *manifest.owned()} and found(tmp_path) == []


def test_work_files_of_a_driver_that_ended_after_its_commit_are_found(tmp_path: Path) -> None:
    finished(tmp_path / "d")
    work = f"_work/{'a' * 32}"
    storage.write_bytes(f"{tmp_path}/d/{work}/00000.arrow", b"as large as the corpus")
    storage.write_bytes(f"{tmp_path}/d/_work/growth.json", b"[]")
    for place in ("_work", "d/_work"):
        storage.write_bytes(f"{tmp_path}/{place}/mine.txt", b"the user's")
    assert found(tmp_path) == [("work files", f"d/{work}"), ("work files", "d/_work/growth.json")]
    assert command.main([str(tmp_path), "--older-than", "0", "--delete"]) == 0
    assert found(tmp_path) == [] and (tmp_path / "d" / "_work" / "mine.txt").exists()


def test_manifests_of_other_programs_are_none_of_ours(tmp_path: Path) -> None:
    for name in ("manifest.json", "plan.json", "parts/0000aaaa/x", "_work/x", "receipts/00000.json"):
        storage.write_json(f"{tmp_path}/theirs/{name}", {"name": "an app"})
    assert found(tmp_path, unfinished=True) == []


def test_an_unfinished_run_is_deleted_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shard(begin_run(str(tmp_path / "d"), plan_of(), overwrite=False), 0)
    (tmp_path / "d" / "thesis.txt").write_text("years of work")
    assert found(tmp_path) == [] and found(tmp_path, unfinished=True) == [("unfinished run", "d")]
    assert command.main([str(tmp_path), "--older-than", "0", "--unfinished"]) == 0
    assert (tmp_path / "d").exists() and "--delete deletes them" in capsys.readouterr().out
    assert command.main([str(tmp_path), "--older-than", "0", "--unfinished", "--delete"]) == 0
    assert [file.name for file in (tmp_path / "d").rglob("*") if file.is_file()] == ["thesis.txt"]


def test_a_missing_folder_is_a_mistake(tmp_path: Path) -> None:
    assert command.main([str(tmp_path / "absent")]) == 2
