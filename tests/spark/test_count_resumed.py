"""A count that was killed and run again equals one that nobody disturbed: manifest, report and rejects."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from clip_spark.datasets.manifest import read_manifest
from clip_spark.errors import TaskError
from clip_spark.texts.ngrams import count
from clip_spark.texts.ngrams.count import count_ngrams
from clip_spark.texts.ngrams.counting import passes
from clip_spark.texts.specs import CountSpec
from tests.helpers_ngrams import random_lines

pytestmark = pytest.mark.spark
SHARDS = 4
TIMES = ("seconds", "created", "seconds_by_stage", "wall_seconds", "rows_per_second")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two splits: good lines and bad bytes in both."""
    folder = tmp_path_factory.mktemp("corpus")
    for number, name in enumerate("ab"):
        bad = [b"not \xff text %d" % line for line in range(3 + number)]
        lines = [*(line.encode() for line in random_lines(seed=number)), *bad]
        (folder / f"{name}.txt").write_bytes(b"\n".join(lines) + b"\n")
    return folder


@pytest.fixture(autouse=True)
def small_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count.corpus, "choose_split_bytes", lambda _: 4000)


def count_into(spark: Any, corpus: Path, output: Path, orders: tuple[int, ...]) -> None:
    spec = CountSpec(
        corpus=(str(corpus),), output=str(output), orders=orders, shards=SHARDS, invalid_utf8="reject", min_count=(2,)
    )
    count_ngrams(lambda: spark, spec)


def without_times(value: Any) -> Any:
    """The same JSON without what a clock says."""
    if isinstance(value, dict):
        value = {**value, "beside": sorted(value["beside"])} if "beside" in value else value  # a report's bytes vary
        return {key: without_times(item) for key, item in value.items() if key not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def contents(folder: Path) -> dict[str, Any]:
    """All files of a dataset: JSON without times, tables as rows, pictures as bytes."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if path.suffix == ".json":
            found[name] = json.dumps(without_times(json.loads(path.read_text())))  # the order of keys counts too
        else:
            found[name] = pq.read_table(path).to_pylist() if path.suffix == ".parquet" else path.read_bytes()
    return found


@pytest.fixture(
    scope="module",
    params=[pytest.param((1,), id="words", marks=pytest.mark.long), pytest.param((1, 2, 3), id="n-grams")],
)
def undisturbed(request: Any, spark: Any, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(count.corpus, "choose_split_bytes", lambda _: 4000)
        count_into(spark, corpus, output, request.param)
    return request.param, output


@dataclass(frozen=True)
class FailsFrom:
    """Writes shards below a number; the others fail for good, as when the whole cluster goes away."""

    work: Any
    first: int

    def __call__(self, shard: int, items: Any) -> list[Any]:
        if shard >= self.first:
            raise MemoryError("the machine is gone")
        return list(self.work(shard, items))


def stop_after(monkeypatch: pytest.MonkeyPatch, shards: int) -> None:
    importlib.import_module("pyspark.cloudpickle").register_pickle_by_value(sys.modules[__name__])
    failing = {"WriteShard": lambda *args: FailsFrom(passes.WriteShard(*args), shards)}
    monkeypatch.setattr(count, "passes", SimpleNamespace(**{**vars(passes), **failing}))


@pytest.mark.parametrize(
    "written", [pytest.param(0, marks=pytest.mark.long), 1, pytest.param(3, marks=pytest.mark.long)]
)
def test_a_run_stopped_after_some_shards_ends_as_an_undisturbed_one(
    spark: Any, corpus: Path, tmp_path: Path, undisturbed: Any, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    orders, reference = undisturbed
    output = tmp_path / "out"
    with monkeypatch.context() as killed:
        stop_after(killed, written)
        with pytest.raises(TaskError, match="the machine is gone"):
            count_into(spark, corpus, output, orders)
    assert len(list((output / "counts").glob("*"))) == written
    count_into(spark, corpus, output, orders)
    assert contents(output) == contents(reference)


def test_rejects_and_totals_are_there_once_although_all_receipts_of_splits_were_lost(
    spark: Any, corpus: Path, tmp_path: Path, undisturbed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders, reference = undisturbed
    output = tmp_path / "out"
    with monkeypatch.context() as killed:
        stop_after(killed, 2)
        with pytest.raises(TaskError):
            count_into(spark, corpus, output, orders)
    for receipt in (output / "receipts").glob("*.json"):
        if int(receipt.stem) >= SHARDS:
            receipt.unlink()
    shutil.rmtree(output / "rejects")
    count_into(spark, corpus, output, orders)
    assert contents(output) == contents(reference)
    rejected = [row for path in (output / "rejects").glob("*") for row in pq.read_table(path).to_pylist()]
    assert len(rejected) == 7


def test_work_files_left_by_a_driver_that_died_after_the_commit_go(
    spark: Any, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count_into(spark, corpus, tmp_path / "out", (1, 2))
    plan = read_manifest(str(tmp_path / "out")).fingerprint
    left, foreign = (tmp_path / "out" / count.WORK / folder / "00000.arrow" for folder in (plan, "of another run"))
    for file in (left, foreign, tmp_path / "out" / count.WORK / count.GROWTH):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    count_into(None, corpus, tmp_path / "out", (1, 2))
    assert foreign.exists() and not left.parent.exists()
    foreign.unlink()
    count_into(None, corpus, tmp_path / "out", (1, 2))
    assert not (tmp_path / "out" / count.WORK).exists()
