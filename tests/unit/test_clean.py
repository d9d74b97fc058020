"""clean: finds what killed jobs leave, and touches nothing else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from clip_spark import storage
from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.datasets import run as run_module
from clip_spark.datasets.commit import Head, close, fence, make_official, read_head, reopen
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.run import begin_run
from clip_spark.errors import ClipSparkError, InputError, OutputError
from clip_spark.jobs import clean as command
from tests.helpers_datasets import finished, plan_of, write_shard


def found(place: Path, unfinished: bool = False, hours: float = 0.0) -> list[tuple[str, str]]:
    leftovers = find_leftovers(str(place), older_than_hours=hours, unfinished=unfinished)
    return sorted((one.kind, one.uri.removeprefix(f"{place}/")) for one in leftovers)


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
    with pytest.raises(ClipSparkError, match="plan of this run was deleted meanwhile"):
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
    assert alive.commit().fenced == ()  # it bars all who began with the manifest that it has replaced
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


def test_what_a_killed_publish_left_in_the_cache_is_found_when_asked(tmp_path: Path) -> None:
    for name, files in (("publish-" + "a" * 32, ("published.json", "data/0.parquet")), ("publish-" + "b" * 32, ("x",))):
        for file in files:
            storage.write_bytes(str(tmp_path / name / file), b"x")
    assert found(tmp_path) == []
    left = find_leftovers(str(tmp_path), older_than_hours=0, unfinished=True)
    assert [(one.kind, one.uri) for one in delete_each(left)] == [
        ("unfinished publication", f"{tmp_path}/publish-{'a' * 32}")
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["publish-" + "b" * 32], "that of others stays"


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
    assert {file.name for file in (tmp_path / "d").rglob("*") if file.is_file()} == {"thesis.txt", "manifest.json"}
    assert found(tmp_path, unfinished=True) == []


def test_a_run_that_is_cleaned_away_right_before_its_commit_loses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = begin_run(str(tmp_path / "d"), plan_of(), overwrite=False)
    for number in alive.pending():
        write_shard(alive, number)

    def stood_still(head: Head, manifest: Manifest) -> Manifest:
        list(delete_each(find_leftovers(str(tmp_path), older_than_hours=0, unfinished=True)))
        return make_official(head, manifest)

    monkeypatch.setattr(run_module, "make_official", stood_still)
    with pytest.raises(OutputError, match="another writer was quicker .a deletion"):
        alive.commit()
    with pytest.raises(InputError, match="holds nothing: what was begun there was cleaned away"):
        read_manifest(alive.output)
    monkeypatch.undo()
    assert finished(tmp_path / "d").pending() == [] and read_manifest(alive.output).rows == 4


def test_what_a_run_writes_after_it_was_cleaned_away_does_not_bar_the_next(tmp_path: Path) -> None:
    late, killed = (begin_run(str(tmp_path / name), plan_of(), overwrite=False) for name in ("late", "killed"))
    list(delete_each(find_leftovers(str(tmp_path), older_than_hours=0, unfinished=True)))
    for run in (late, killed):
        for number in (0, 1):
            write_shard(run, number)  # by tasks that know nothing yet
    with pytest.raises(OutputError, match="plan of this run was deleted meanwhile"):
        late.commit()
    assert os.listdir(late.output) == ["manifest.json"]
    assert found(tmp_path, unfinished=True) == [("unfinished run", "killed")]
    for run in (late, killed):
        assert begin_run(run.output, plan_of(size=3), overwrite=False).pending() == [0, 1]
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").touch()
    with pytest.raises(OutputError, match="1 files that clip-spark did not plan"):
        begin_run(str(tmp_path / "foreign"), plan_of(), overwrite=False)


def test_no_run_begins_while_another_is_cleaned_away(tmp_path: Path) -> None:
    write_shard(begin_run(str(tmp_path / "d"), plan_of(), overwrite=False), 0)
    token = close(str(tmp_path / "d"))
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="`clean` deletes what was never finished here"):
            begin_run(str(tmp_path / "d"), plan_of(), overwrite=overwrite)
    assert found(tmp_path, unfinished=True) == [("unfinished run", "d")]  # as after a `clean` that was killed
    reopen(str(tmp_path / "d"), "of another")
    assert read_head(str(tmp_path / "d")).closed
    reopen(str(tmp_path / "d"), token)
    assert begin_run(str(tmp_path / "d"), plan_of(), overwrite=False).pending() == [1]


def test_a_run_that_commits_first_is_not_cleaned_away(tmp_path: Path) -> None:
    alive = begin_run(str(tmp_path / "d"), plan_of(), overwrite=False)
    for number in alive.pending():
        write_shard(alive, number)
    seen = list(find_leftovers(str(tmp_path), older_than_hours=0, unfinished=True))
    committed = alive.commit()
    list(delete_each(seen))
    assert read_manifest(alive.output) == committed and found(tmp_path, unfinished=True) == []


def test_a_run_that_goes_on_since_it_was_found_is_left_alone(tmp_path: Path) -> None:
    write_shard(begin_run(str(tmp_path / "d"), plan_of(), overwrite=False), 0)
    for file in (tmp_path / "d").rglob("*.*"):
        os.utime(file, (0, 0))
    seen = list(find_leftovers(str(tmp_path), older_than_hours=24, unfinished=True))
    assert [one.kind for one in seen] == ["unfinished run"]
    again = begin_run(str(tmp_path / "d"), plan_of(), overwrite=False)
    list(delete_each(seen, older_than_hours=24))
    assert again.pending() == [1] and found(tmp_path, unfinished=True, hours=24) == []


def test_many_leftovers_are_shown_in_sum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(1005):
        (tmp_path / f".{number}.{number:032x}.tmp").write_bytes(b"abc")
    assert command.main([str(tmp_path), "--older-than", "0", "--delete"]) == 0
    said = capsys.readouterr()
    assert "in all" in said.out and "1,005 leftovers, 3,015 bytes" in said.out and os.listdir(tmp_path) == []


def test_a_missing_folder_is_a_mistake(tmp_path: Path) -> None:
    assert command.main([str(tmp_path / "absent")]) == 2
