"""Text steps over a folder that has grown: all is made again, and files that are gone have to be asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.sources import write_sources
from clip_spark.errors import OutputError
from clip_spark.texts import corpus
from clip_spark.texts.made_again import all_again, sources_of
from tests.helpers_datasets import plan_of, write_shard

STRAY = ("a.txt.knn", "Thumbs.db", ".DS_Store", "photo.jpg", "desktop.ini")


def files_in(folder: Path) -> tuple[corpus.CorpusFile, ...]:
    return corpus.list_corpus((str(folder),)).files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in "abc":
        (tmp_path / "in" / f"{name}.txt").write_text(f"text of {name}\n")
    return tmp_path


@pytest.fixture
def made(folder: Path) -> Manifest:
    """Something that was made of the three files."""
    run = begin_run(str(folder / "out"), plan_of(), overwrite=False)
    for number in run.pending():
        write_shard(run, number)
    write_sources(run.output, sources_of(files_in(folder / "in")))
    return run.commit()


def test_new_and_changed_files_need_no_word(folder: Path, made: Manifest) -> None:
    (folder / "in" / "d.txt").write_text("more\n")
    (folder / "in" / "a.txt").write_text("another text\n")
    assert all_again(sources_of(files_in(folder / "in")), "corpus", False, made, []) is None


def test_files_that_are_gone_are_named_and_have_to_be_asked_for(folder: Path, made: Manifest) -> None:
    (folder / "in" / "b.txt").unlink()
    now = sources_of(files_in(folder / "in"))
    with pytest.raises(OutputError, match=r"1 files of --corpus are gone .*such as 'b.txt'; --prune makes it again"):
        all_again(now, "corpus", False, made, [])
    assert all_again(now, "corpus", True, made, []) is None


def test_another_corpus_is_refused_also_with_prune(folder: Path, made: Manifest) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "x.txt").write_text("x\n")
    with pytest.raises(OutputError, match="was made of other input: nothing of it, such as 'a.txt'"):
        all_again(sources_of(files_in(folder / "other")), "corpus", True, made, [])


def test_stray_files_change_nothing(folder: Path) -> None:
    before = corpus.as_input(files_in(folder / "in"), ["in"])
    for name in STRAY:
        (folder / "in" / name).write_bytes(b"stray")
    assert corpus.as_input(files_in(folder / "in"), ["in"]) == before
