"""Tasks that deal out to others, in processes of this machine: nothing is lost, and what fails is left to Spark."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest

from clip_spark.errors import SpecError, UserError
from clip_spark.runtime import devices
from clip_spark.runtime.exchange import MOST_ITEMS, Exchange, Shared, done_here
from clip_spark.runtime.exchange_here import Here, MappedValue
from clip_spark.runtime.session import ELSEWHERE, LateSession
from clip_spark.texts.ngrams.count import count_ngrams
from clip_spark.texts.specs import CountSpec
from tests.helpers_ngrams import oracle, random_lines, rows

HERE = LateSession("test")


@pytest.fixture(autouse=True)
def no_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """No session runs, nothing says where one would."""
    context = SimpleNamespace(SparkContext=SimpleNamespace(_active_spark_context=None))
    monkeypatch.setitem(sys.modules, "pyspark", context)
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)


@dataclass(frozen=True)
class DealDigits:
    """A number -> each of its digits to the part of that digit, the last digit first."""

    shared: Shared

    def __call__(self, number: int) -> Iterator[tuple[int, int]]:
        for digit in reversed(str(number)):
            yield int(digit), int(number * self.shared.value["factor"][0])


def gather(part: int, items: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, list[int]]]:
    """What a part got; nothing of a part that got nothing."""
    found = [value for of_part, value in items if of_part == part]
    if found:
        yield part, found


@dataclass(frozen=True)
class Fails:
    """Ends its process, or raises, at one of the items."""

    how: str

    def __call__(self, item: int) -> Iterator[tuple[int, int]]:
        if item == 3 and self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 3:
            raise SpecError("--orders is none.") if self.how == "mistake" else OSError("the disk is full")
        yield 0, item


def test_every_part_gets_all_that_is_dealt_to_it() -> None:
    numbers = [10, 77, 210, 4, 77]
    with Here("test", len(numbers)) as exchange:
        shared = exchange.share({"factor": np.array([2]), "words": pa.array(["a", "b"])})
        found = exchange.deal(numbers, DealDigits(shared), 8, gather)
    assert found == [(0, [20, 420]), (1, [20, 420]), (2, [420]), (4, [8]), (7, [154, 154, 154, 154])]


def test_a_shared_value_is_mapped_not_read(tmp_path: Path) -> None:
    value = {"table": pa.table({"word": ["x", None, "yy"]}), "empty": np.zeros(0), "numbers": np.arange(1000)}
    shared = MappedValue.of(value, tmp_path / "value")
    found = shared.value
    assert found["table"] == value["table"] and not len(found["empty"])
    assert np.array_equal(found["numbers"], value["numbers"]) and not found["numbers"].flags.writeable
    assert shared.value is found


@pytest.mark.parametrize("how", ["killed", "broken"])
def test_what_another_try_may_mend_is_left_to_spark_and_no_process_or_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def work(exchange: Exchange) -> None:
        exchange.deal(range(8), Fails(how), 1, gather)

    before = set(psutil.Process().children())
    assert not done_here(HERE, "test", 8, work)
    assert set(psutil.Process().children()) <= before and not list(tmp_path.iterdir())


def test_a_mistake_is_told() -> None:
    with pytest.raises(UserError, match="--orders is none"):
        done_here(HERE, "test", 8, lambda exchange: exchange.deal(range(8), Fails("mistake"), 1, gather))


def test_an_interrupt_ends_the_processes() -> None:
    def work(exchange: Exchange) -> None:
        raise KeyboardInterrupt

    before = set(psutil.Process().children())
    with pytest.raises(KeyboardInterrupt):
        done_here(HERE, "test", 2, work)
    assert set(psutil.Process().children()) <= before


def test_only_where_spark_would_be_started_here_for_a_job_that_fits() -> None:
    def never(_: Any = None) -> Any:
        pytest.fail("asked for")

    assert not done_here(never, "test", 1, never)  # somebody's own session
    assert not done_here(LateSession("test", "spark://host:7077"), "test", 1, never)
    assert not done_here(HERE, "test", MOST_ITEMS + 1, never)


def test_a_container_has_no_more_cores_than_its_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    for text, cores in (("max 100000", 16), ("250000 100000", 3), ("50000 100000", 1), ("6400000 100000", 16)):
        monkeypatch.setattr(Path, "read_text", lambda _, text=text: text)
        assert devices.usable_cores() == cores


@pytest.mark.parametrize(("orders", "least"), [((1, 2, 3), 1), ((5, 4), 2), ((1,), 2)])
def test_counts_without_spark_equal_counter(tmp_path: Path, orders: tuple[int, ...], least: int) -> None:
    lines = random_lines(seed=7)
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("\n".join(lines[number::3]))
    spec = CountSpec(
        corpus=(f"{tmp_path}/*.txt",), output=str(tmp_path / "out"), orders=orders, min_count=(least,), shards=4
    )
    found = rows(count_ngrams(HERE, spec), "counts")
    assert len(found) == len({(row["n"], row["text"]) for row in found})
    assert {(row["n"], row["text"]): row["count"] for row in found} == oracle(lines, orders, least)
    assert not (tmp_path / "out" / "_work").exists()


def makes_arrays(_: int) -> None:
    """Fails where Arrow has looked for pandas and found it."""
    pa.array(np.zeros(1))
    pa.array(["text"])
    if "pandas" in sys.modules:
        raise UserError("pandas is here")


def test_processes_do_not_wait_for_pandas() -> None:
    with Here("test", 1) as exchange:
        exchange.each([1], makes_arrays)
