"""count-ngrams on Spark equals collections.Counter, whatever dies or is damaged on the way."""

from __future__ import annotations

import gzip
import importlib
import json
import os
import random
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import PIL.Image
import pytest

from clip_spark.datasets.manifest import Manifest
from clip_spark.errors import InputError, ResultError
from clip_spark.runtime.session import LateSession
from clip_spark.texts.ngrams import count
from clip_spark.texts.ngrams import report_plots as plots
from clip_spark.texts.ngrams.count import count_ngrams
from clip_spark.texts.ngrams.counting import passes
from clip_spark.texts.specs import CountSpec
from tests.helpers_ngrams import oracle, random_lines, rows

pytestmark = pytest.mark.spark


def counted(manifest: Manifest) -> dict[Any, int]:
    """(n, text) -> count; fails when an n-gram is in two shards."""
    found = [((row["n"], row["text"]), row["count"]) for row in rows(manifest, "counts")]
    assert len(found) == len(dict(found))
    return dict(found)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return random_lines(seed=7)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "a.txt").write_text("\n".join(lines[:150]) + "\n")
    (folder / "b").mkdir()
    (folder / "b" / "c.txt.gz").write_bytes(gzip.compress("\n".join(lines[150:]).encode()))
    return folder


@pytest.mark.parametrize(
    ("orders", "least", "lower", "shards"),
    [((1, 2, 3), 1, True, 1), ((1, 2, 3), 3, True, 4), ((5, 4), 2, True, 2), ((2,), 2, False, 3)],
)
def test_counts_equal_counter(
    spark: Any, place: Path, lines: list[str], tmp_path: Path, orders: Any, least: int, lower: bool, shards: int
) -> None:
    spec = CountSpec(
        corpus=(str(place),),
        output=str(tmp_path / "out"),
        orders=orders,
        min_count=(least,),
        lower=lower,
        shards=shards,
    )
    assert counted(count_ngrams(lambda: spark, spec)) == oracle(lines, orders, least, lower)


def test_a_bounded_vocabulary_changes_no_count(
    spark: Any, place: Path, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clip_spark.texts.ngrams.count.MOST_WORDS", 5)
    spec = CountSpec(corpus=(str(place),), output=str(tmp_path / "out"), orders=(1, 2, 3), min_count=(2,), shards=2)
    assert counted(count_ngrams(lambda: spark, spec)) == oracle(lines, (1, 2, 3), 2)


@dataclass(frozen=True)
class DiesOnce:
    """Does its work, and at its first attempt dies before Spark hears of it, as an executor does without memory."""

    work: Any
    marker: str

    def __call__(self, *args: Any) -> list[Any]:
        done = list(self.work(*args))
        with suppress(FileExistsError), open(self.marker, "x"):
            os.kill(os.getpid(), signal.SIGKILL)
        return done


@pytest.mark.parametrize("name", ["FirstPass", "SumWords", "SecondPass", "WriteShard"])
def test_a_killed_worker_changes_no_count(
    spark: Any, place: Path, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    marker = tmp_path / "died"
    victim = {name: lambda *args: DiesOnce(getattr(passes, name)(*args), str(marker))}
    monkeypatch.setattr(count, "passes", SimpleNamespace(**{**vars(passes), **victim}))
    by_value = importlib.import_module("pyspark.cloudpickle")  # workers cannot import this file
    by_value.register_pickle_by_value(sys.modules[__name__])
    spec = CountSpec(corpus=(str(place),), output=str(tmp_path / "out"), min_count=(1,), shards=3)
    assert counted(count_ngrams(lambda: spark, spec)) == oracle(lines, (1, 2, 3))
    assert marker.exists()


class LateFixture(LateSession):
    """Would start Spark here; the tests' session is what it then returns."""

    spark: Any = None

    def __call__(self) -> Any:
        return self.spark

    def would_start(self) -> bool:
        return True


@pytest.mark.parametrize("name", ["SecondPass", "WriteShard"])
def test_what_a_killed_process_leaves_without_spark_is_counted_by_spark(
    spark: Any, place: Path, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    marker = tmp_path / "died"
    victim = {name: lambda *args: DiesOnce(getattr(passes, name)(*args), str(marker))}
    monkeypatch.setattr(count, "passes", SimpleNamespace(**{**vars(passes), **victim}))
    importlib.import_module("pyspark.cloudpickle").register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(LateFixture, "spark", spark)
    spec = CountSpec(corpus=(str(place),), output=str(tmp_path / "out"), min_count=(1,), shards=3)
    manifest = count_ngrams(LateFixture("test"), spec)
    assert counted(manifest) == oracle(lines, (1, 2, 3)) and marker.exists()
    assert "session" in json.loads((tmp_path / "out" / "report.json").read_text())["seconds_by_stage"]


@dataclass(frozen=True)
class DamagesWorkFiles:
    """The second pass, which finds its work file damaged since the first one wrote it."""

    work: Any
    output: str
    damage: str

    def __call__(self, item: Any) -> list[Any]:
        (path,) = Path(self.output).glob(f"_work/*/{item[0]:05d}.arrow")
        data = path.read_bytes()
        middle = len(data) // 2
        path.write_bytes(data[:middle] if self.damage == "cut" else data[:middle] + b"?!" + data[middle + 2 :])
        return list(self.work(item))


@pytest.mark.parametrize("damage", ["cut", "garbled"])
def test_a_work_file_damaged_between_the_passes_changes_no_count(
    spark: Any, place: Path, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    output = str(tmp_path / "out")
    second = {"SecondPass": lambda *args: DamagesWorkFiles(passes.SecondPass(*args), output, damage)}
    monkeypatch.setattr(count, "passes", SimpleNamespace(**{**vars(passes), **second}))
    importlib.import_module("pyspark.cloudpickle").register_pickle_by_value(sys.modules[__name__])
    spec = CountSpec(corpus=(str(place),), output=output, min_count=(1,), shards=2)
    assert counted(count_ngrams(lambda: spark, spec)) == oracle(lines, (1, 2, 3))


def test_one_ngram_may_be_a_third_of_the_corpus(spark: Any, tmp_path: Path) -> None:
    lines = random_lines(seed=3) + ["spam spam spam spam"] * 300
    (tmp_path / "a.txt").write_text("\n".join(lines))
    manifest = count_ngrams(
        lambda: spark, CountSpec(corpus=(str(tmp_path / "a.txt"),), output=str(tmp_path / "out"), shards=4)
    )
    found = counted(manifest)
    assert found == oracle(lines, (1, 2, 3), 2)
    assert found[2, "spam spam"] > 0.3 * manifest.extra["orders"]["2"]["positions"]


def test_a_file_cut_short_is_a_reject_and_the_rest_is_counted(
    spark: Any, place: Path, lines: list[str], tmp_path: Path
) -> None:
    whole = gzip.compress(random.Random(5).randbytes(10_000).hex().encode())
    (tmp_path / "bad.txt.gz").write_bytes(whole[: len(whole) // 2])
    corpus = (str(place), str(tmp_path / "bad.txt.gz"))
    manifest = count_ngrams(lambda: spark, CountSpec(corpus=corpus, output=str(tmp_path / "out"), min_count=(1,)))
    assert counted(manifest) == oracle(lines, (1, 2, 3))
    assert manifest.rejects == {"cut short or garbled": 1}
    (reject,) = rows(manifest, "rejects")
    assert reject["source"].endswith("bad.txt.gz")


def test_the_report_has_figures_and_plots(spark: Any, place: Path, lines: list[str], tmp_path: Path) -> None:
    count_ngrams(lambda: spark, CountSpec(corpus=(str(place),), output=str(tmp_path / "out"), min_count=(2,)))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    everything = oracle(lines, (1, 2, 3))
    words = [count for (n, _), count in everything.items() if n == 1]
    assert report["corpus"]["lines"] == report["rows_in"] == len(lines)
    assert report["corpus"]["tokens"] == sum(words)
    assert report["growth"][-1] == [sum(words), len(words)]
    for n in (1, 2, 3):
        of_order = [count for (order, _), count in everything.items() if order == n]
        for rank, least in report["ranks"][str(n)]:
            assert rank == sum(count >= least for count in of_order)
    assert {"tokenise", "sort", "merge", "decode", "write", "session"} <= report["seconds_by_stage"].keys()
    for name in (plots.RANK_FREQUENCY, plots.GROWTH):
        width, height = PIL.Image.open(tmp_path / "out" / name).size
        assert width > 600 and height > 400


def test_without_matplotlib_one_line_says_so(
    spark: Any, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with caplog.at_level("INFO", "clip_spark"):
        count_ngrams(lambda: spark, CountSpec(corpus=(str(place),), output=str(tmp_path / "out")))
    assert [record for record in caplog.messages if "clip-spark[plot]" in record]
    assert not list((tmp_path / "out").glob("*.png"))


@pytest.mark.parametrize("text", ["?! ...\n", "word", "\0\n"])
def test_a_corpus_of_almost_nothing(spark: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    spec = CountSpec(corpus=(str(tmp_path / "a.txt"),), output=str(tmp_path / "out"), min_count=(1,))
    assert counted(count_ngrams(lambda: spark, spec)) == oracle([text], (1, 2, 3))


def test_a_corpus_of_nothing_is_no_success_and_bars_no_other_try(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" \t\n\n")
    spec = CountSpec(corpus=(str(tmp_path / "a.txt"),), output=str(tmp_path / "out"), min_count=(1,))
    with pytest.raises(ResultError, match="Nothing came out of 2 rows"):
        count_ngrams(lambda: spark, spec)
    assert not (tmp_path / "out").exists()


def test_totals(spark: Any, place: Path, lines: list[str], tmp_path: Path) -> None:
    manifest = count_ngrams(lambda: spark, CountSpec(corpus=(str(place),), output=str(tmp_path / "out")))
    everything = oracle(lines, (1, 2, 3))
    assert manifest.extra["lines"] == len(lines)
    assert manifest.extra["tokens"] == sum(count for (n, _), count in everything.items() if n == 1)
    for n in (1, 2, 3):
        found = [count for (order, _), count in everything.items() if order == n]
        of_order = manifest.extra["orders"][str(n)]
        assert of_order["positions"] == sum(found)
        assert of_order["survivors"] == sum(count >= 2 for count in found)


def test_a_finished_step_starts_no_session(spark: Any, place: Path, tmp_path: Path) -> None:
    spec = CountSpec(corpus=(str(place),), output=str(tmp_path / "out"))
    first = count_ngrams(lambda: spark, spec)

    def no_session() -> Any:
        raise AssertionError("a session was started")

    assert count_ngrams(no_session, spec).fingerprint == first.fingerprint


def test_a_missing_corpus_starts_no_session(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        count_ngrams(lambda: pytest.fail("a session was started"), CountSpec(corpus=("nowhere",), output=str(tmp_path)))
