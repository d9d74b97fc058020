"""embed-images on a folder that has grown does only what is new; what is gone stays until it is asked for."""

from __future__ import annotations

import io
import logging
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from clip_spark import storage
from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.commands.console import result_line
from clip_spark.commands.one_shard import run_one
from clip_spark.commands.registry import COMMANDS
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.receipt import Receipt
from clip_spark.embed import pictures as pictures_module
from clip_spark.errors import InputError, OutputError
from tests.helpers_growth import draw, embed, rows_by_uri, tasks_run_here


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks_run_here(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures in three shards."""
    for name in "abcde":
        draw(tmp_path / "in", f"{name}.png")
    embed(tmp_path)
    return tmp_path


def same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """The same pictures with the same records, and vectors that differ in nothing but the last bits."""
    close = all(np.allclose(found[name]["vector"], row["vector"], atol=1e-5) for name, row in wanted.items())
    plain = [{name: {**row, "vector": 0} for name, row in rows.items()} for rows in (found, wanted)]
    return close and plain[0] == plain[1]


def test_only_new_pictures_are_embedded_and_the_old_shards_stay_under_their_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_manifest(str(folder / "emb"))
    files = {file: Path(file).stat().st_mtime_ns for file in before.files("embeddings")}
    for name in ("aa.png", "z.png", "f.png"):
        draw(folder / "in", name)
    done: list[int] = []
    write = pictures_module.PictureWork.__call__
    monkeypatch.setattr(
        pictures_module.PictureWork, "__call__", lambda work, item: (done.append(item.number), write(work, item))[1]
    )
    grown = embed(folder)
    assert done == [3, 4] and grown.news == "3 new"
    assert {file: Path(file).stat().st_mtime_ns for file in grown.files("embeddings")[:3]} == files
    assert same(rows_by_uri(grown), rows_by_uri(embed(folder, output=str(folder / "scratch"))))
    report = storage.read_json(grown.locate("report.json"))
    assert (report["rows_in"], report["rows_out"], report["growth"]["new_rows"]) == (8, 8, 3)
    assert embed(folder).created == grown.created and not embed(folder).news


def test_what_vanished_or_changed_stays_and_is_told_until_prune(folder: Path, caplog: Any) -> None:
    (folder / "in" / "a.png").unlink()
    draw(folder / "in", "b.png", width=30)
    draw(folder / "in", "new.png")
    with caplog.at_level(logging.INFO, logger="clip_spark"):
        grown = embed(folder)
    assert grown.news == "1 new; 1 vanished and 1 changed, kept as they were; --prune brings them up to date"
    assert "1 vanished since" in caplog.text and "a.png'" in caplog.text and "b.png'" in caplog.text
    rows = rows_by_uri(grown)
    assert len(rows) == 6 and rows["b.png"]["width"] == 20
    again = embed(folder)
    assert again.created == grown.created and again.news == grown.news.removeprefix("1 new; ")
    pruned = embed(folder, prune=True)
    assert pruned.news == "1 new; 1 vanished, taken out; 1 changed, done again"
    assert same(rows_by_uri(pruned), rows_by_uri(embed(folder, output=str(folder / "scratch"))))
    assert embed(folder, prune=True).created == pruned.created and not embed(folder).news


def test_a_shard_keeps_its_rejects_when_others_of_it_go(folder: Path) -> None:
    (folder / "in" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    (folder / "in" / "worse.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    grown = embed(folder)
    assert (sum(grown.rejects.values()), grown.rows) == (2, 5)
    for name in ("bad.png", "a.png"):
        (folder / "in" / name).unlink()
    pruned = embed(folder, prune=True)
    assert (sum(pruned.rejects.values()), pruned.rows) == (1, 4)
    assert sorted(rows_by_uri(pruned)) == ["b.png", "c.png", "d.png", "e.png"]
    report = storage.read_json(pruned.locate("report.json"))
    assert report["rows_in"] == 5 and sum(report["rejects"].values()) == 1


def tar_of(path: Path, names: list[str], source: Path) -> None:
    with tarfile.open(path, "w") as tar:
        for name in names:
            data = (source / name).read_bytes()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def test_a_tar_is_new_or_gone_as_a_whole(tmp_path: Path) -> None:
    for name in "abcd":
        draw(tmp_path / "drawn", f"{name}.png")
    (tmp_path / "in").mkdir()
    tar_of(tmp_path / "in" / "0.tar", ["a.png", "b.png"], tmp_path / "drawn")
    embed(tmp_path)
    tar_of(tmp_path / "in" / "1.tar", ["c.png", "d.png"], tmp_path / "drawn")
    assert (grown := embed(tmp_path)).rows == 4 and grown.news == "2 new"
    (tmp_path / "in" / "0.tar").unlink()
    assert embed(tmp_path).news == "1 vanished, kept; --prune takes them out"
    assert embed(tmp_path, prune=True).rows == 2


def test_stray_files_change_nothing(folder: Path) -> None:
    before = read_manifest(str(folder / "emb"))
    for name in ("Thumbs.db", ".DS_Store", "a.png.knn", "notes.txt", "desktop.ini"):
        (folder / "in" / name).write_bytes(b"stray")
    assert embed(folder) == before


def test_other_options_and_other_pictures_are_refused(folder: Path) -> None:
    draw(folder / "in", "f.png")
    with pytest.raises(OutputError, match="shard-rows was 2, now 3"):
        embed(folder, shard_rows=3)
    draw(folder / "other", "x.png")
    with pytest.raises(OutputError, match="was made of other input: nothing of it, such as .*a.png"):
        embed(folder, images=(str(folder / "other"),))
    assert embed(folder, images=(str(folder / "in"), str(folder / "other"))).news == "2 new"


def test_a_killed_growth_goes_on_and_a_reader_of_the_old_generation_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_manifest(str(folder / "emb"))
    for name in ("x.png", "y.png", "z.png"):
        draw(folder / "in", name)
    write = pictures_module.PictureWork.__call__

    def dies(work: Any, item: Any) -> Any:
        if item.number == 4:
            raise MemoryError("killed")
        return write(work, item)

    with monkeypatch.context() as killed:
        killed.setattr(pictures_module.PictureWork, "__call__", dies)
        with pytest.raises(MemoryError):
            embed(folder)
    assert read_manifest(str(folder / "emb")) == before
    with monkeypatch.context() as counted:
        done: list[int] = []
        counted.setattr(
            pictures_module.PictureWork, "__call__", lambda work, item: (done.append(item.number), write(work, item))[1]
        )
        grown = embed(folder)
    assert done == [4] and grown.rows == 8
    assert len(rows_by_uri(before)) == 5


def test_files_of_old_generations_go_only_when_no_shard_of_them_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIP_SPARK_GRACE_HOURS", "0")
    draw(folder / "in", "f.png")
    first = embed(folder)
    (folder / "in" / "a.png").unlink()
    draw(folder / "in", "g.png")
    second = embed(folder, prune=True)
    list(delete_each(find_leftovers(str(folder), older_than_hours=0, unfinished=True)))
    assert len(rows_by_uri(read_manifest(str(folder / "emb")))) == 6 == second.rows
    assert all(Path(folder / "emb" / path).exists() for path in second.owned())
    gone = [path for path in first.owned() if path not in set(second.owned())]
    assert gone and not any((folder / "emb" / path).exists() for path in gone)


def test_of_two_growths_at_once_the_second_says_who_won(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(folder / "in", "f.png")
    facts, others = pictures_module.facts, ["g.png"]

    def meanwhile(*arguments: Any) -> Any:
        while others:
            draw(folder / "in", others.pop())
            embed(folder)
        return facts(*arguments)

    monkeypatch.setattr(pictures_module, "facts", meanwhile)
    with pytest.raises(OutputError, match="another writer was quicker .*embeddings of 7 rows"):
        embed(folder)
    assert len(rows_by_uri(read_manifest(str(folder / "emb")))) == 7
    assert len(list((folder / "emb" / "generations").iterdir())) == 1


def test_a_file_of_the_old_generation_that_is_missing_is_found(folder: Path) -> None:
    (folder / "emb" / "embeddings" / "00001.parquet").unlink()
    draw(folder / "in", "f.png")
    with pytest.raises(Exception, match="00001.parquet' of an earlier generation is missing"):
        embed(folder)


def test_a_task_of_a_grown_dataset_does_not_run_alone(folder: Path) -> None:
    draw(folder / "in", "f.png")
    embed(folder)
    with pytest.raises(InputError, match="has grown: its tasks"):
        run_one(str(folder / "emb"), 0, str(folder / "one"), {})


def test_the_line_at_the_end_tells_it(folder: Path) -> None:
    (folder / "in" / "a.png").unlink()
    draw(folder / "in", "f.png")
    grown = embed(folder)
    line = result_line(COMMANDS["embed-images"], grown, 0.0)
    assert "embed-images: 6 rows (1 new; 1 vanished, kept; --prune takes them out) in " in line
    line = result_line(COMMANDS["embed-images"], embed(folder), 4e9)
    assert "already done (6 rows; 1 vanished, kept; --prune takes them out)" in line


def write_dataset(folder: Path, tars: dict[str, str]) -> None:
    """A dataset of pictures of ours: path of each tar inside it -> names of the pictures, a letter each."""
    (folder / "in").mkdir(exist_ok=True)
    receipts = []
    for number, (path, names) in enumerate(tars.items()):
        if not (folder / "in" / path).exists():
            (folder / "in" / path).parent.mkdir(parents=True, exist_ok=True)
            with tarfile.open(folder / "in" / path, "w") as tar:
                for name in names:
                    draw(folder / "drawn", f"{name}.png")
                    tar.add(folder / "drawn" / f"{name}.png", f"{name}.png")
        receipts.append(Receipt(number, "plan", len(names), {path: (folder / "in" / path).stat().st_size}))
    manifest = Manifest("images", "f", {}, {}, {}, "", tuple(receipts))
    storage.write_json(str(folder / "in/manifest.json"), manifest.to_json())


def ids(manifest: Manifest) -> list[str]:
    return sorted(name for uri in manifest.files("records") for name in pq.read_table(uri)["record_id"].to_pylist())


def test_a_dataset_of_ours_is_followed_where_it_has_replaced_its_files(tmp_path: Path) -> None:
    write_dataset(tmp_path, {"images/00000.tar": "ab", "images/00001.tar": "cd"})
    before = embed(tmp_path)
    write_dataset(tmp_path, {"images/00000.tar": "ab", "generations/x/images/00001.tar": "ce", "images/2.tar": "f"})
    after = embed(tmp_path)
    assert ids(after) == ["a", "b", "c", "e", "f"] and before.receipts[0] in after.receipts
    assert after.news == "3 new"
    write_dataset(tmp_path, {"generations/y/images/00000.tar": "ab"})
    assert ids(embed(tmp_path)) == ["a", "b"], "also where no file has kept its name"
