"""A count of a corpus that has grown reads the new files only, and equals one of all files; killed on the way, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.texts.ngrams import count
from clip_spark.texts.ngrams.count import count_ngrams
from clip_spark.texts.specs import CountSpec
from tests.helpers_ngrams import random_lines

pytestmark = pytest.mark.spark
NOT_COMPARED = ("created", "wall_seconds", "rows_per_second", "seconds_by_stage", "bytes", "growth", "splits", "grown")
"""What a clock says; the tasks that read the corpus, and the order in which they did."""


def write_corpus(folder: Path, *seeds: int) -> None:
    folder.mkdir(exist_ok=True)
    for seed in seeds:
        text = "\n".join(random_lines(seed, 100)).encode() + b"\nnot \xff text\n"
        (folder / f"{seed}.txt").write_bytes(text)


def counted(spark: Any, folder: Path, **options: Any) -> Manifest:
    options = {"shards": 2, "invalid_utf8": "reject", "min_count": (1,), "output": f"{folder}.counts", **options}
    return count_ngrams(lambda: spark, CountSpec(corpus=(str(folder),), **options))


def told(manifest: Manifest) -> Any:
    """Bytes of the counts, the rejects, what later steps get to know, and the report without its times."""
    report = json.loads(Path(manifest.locate("report.json")).read_text())
    rejects = [row for file in manifest.files("rejects") for row in pq.read_table(file).to_pylist()]
    return (
        [Path(file).read_bytes() for file in manifest.files("counts")],
        sorted((Path(row["source"]).name, row["reason"], row["message"]) for row in rejects),
        {name: value for name, value in manifest.extra.items() if name != "growth"},
        {name: value for name, value in report.items() if name not in NOT_COMPARED},
    )


def test_new_files_are_added_to_what_was_counted(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_corpus(tmp_path / "in", 3, 4)
    before = counted(spark, tmp_path / "in")
    write_corpus(tmp_path / "in", 1, 7)  # one sorts before, one behind
    (tmp_path / "in" / "3.txt").rename(tmp_path / "3.txt")  # kept, since nothing says that its text is not wanted
    read: list[str] = []
    plan = count.corpus.plan_splits

    def noted(files: Any, *more: Any) -> Any:
        read.append(",".join(file.relative for file in files))
        return plan(files, *more)

    with monkeypatch.context() as killed:
        killed.setattr(count.corpus, "plan_splits", noted)
        killed.setattr(count, "give_back", lambda: [][0])  # between the passes
        with pytest.raises(IndexError):
            counted(spark, tmp_path / "in")
    assert read == ["1.txt,4.txt,7.txt", "1.txt,7.txt"]
    assert read_manifest(before.uri).fingerprint == before.fingerprint
    grown = counted(spark, tmp_path / "in")
    write_corpus(tmp_path / "all", 1, 3, 4, 7)
    whole = counted(spark, tmp_path / "all")
    assert told(grown) == told(whole)
    assert grown.news == f"{whole.rows - before.rows:,} new; 1 vanished, kept; --prune takes them out"
    assert counted(None, tmp_path / "in").created == grown.created
    pruned = counted(spark, tmp_path / "in", prune=True)
    assert pruned.news.startswith("1 files are gone") and "all is counted again" in pruned.news
    assert json.loads(Path(pruned.locate("report.json")).read_text())["done_again"] == pruned.news
    assert pruned.extra["lines"] == 303
