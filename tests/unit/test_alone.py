"""A job of one small task does without Spark; what its process cannot finish is left to Spark."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from clip_spark.commands.registry import COMMANDS
from clip_spark.embed import embed_text
from clip_spark.embed.specs import EmbedImagesSpec, EmbedTextSpec
from clip_spark.errors import SpecError, UserError
from clip_spark.runtime.alone import may_run_alone, run_alone
from clip_spark.runtime.session import ELSEWHERE, LateSession
from tests.helpers_embeddings import unit_vectors, write_embeddings

HERE = LateSession("test")


@dataclass(frozen=True)
class Work:
    """Does to its process what it is told."""

    folder: str

    def __call__(self, item: str) -> None:
        Path(self.folder, "begun").write_text(str(os.getpid()))
        if item == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "mistake":
            raise SpecError("--model is none.")
        if item == "broken":
            raise ValueError("a store that is down")
        Path(self.folder, "done").write_text(item)


@pytest.fixture
def no_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """No session runs, nothing says where one would."""
    monkeypatch.setitem(
        sys.modules, "pyspark", SimpleNamespace(SparkContext=SimpleNamespace(_active_spark_context=None))
    )
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)


def never(name: str) -> Any:
    pytest.fail(f"{name} was asked for")


def test_it_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    assert run_alone("test", Work(str(tmp_path)), "x")
    assert (tmp_path / "done").read_text() == "x" and (tmp_path / "begun").read_text() != str(os.getpid())


@pytest.mark.parametrize("item", ["killed", "broken"])
def test_what_another_try_may_mend_is_left_to_spark(tmp_path: Path, item: str) -> None:
    assert not run_alone("test", Work(str(tmp_path)), item)
    assert (tmp_path / "begun").exists() and not (tmp_path / "done").exists()


def test_a_mistake_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--model is none"):
        run_alone("test", Work(str(tmp_path)), "mistake")


def test_only_one_small_task_where_nothing_is_asked_of_spark(no_spark: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert may_run_alone(HERE, ["small"], lambda item: item == "small")
    assert not may_run_alone(HERE, ["large"], lambda item: item == "small")
    assert not may_run_alone(HERE, [], lambda item: True)
    assert not may_run_alone(HERE, ["small", "small"], lambda item: True)
    assert not may_run_alone(lambda: never("Spark"), ["small"], lambda item: True)  # somebody's own session
    assert not LateSession("test", "spark://host:7077").would_start()
    assert not LateSession("test", "", {"spark.executor.memory": "1g"}).would_start()
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")  # spark-submit
    assert not HERE.would_start()


def test_a_session_that_runs_is_used(no_spark: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["pyspark"].SparkContext, "_active_spark_context", object())
    assert not HERE.would_start()


def test_a_few_pictures_and_texts_are_embedded_without_spark(
    no_spark: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LateSession, "__call__", lambda self: never("Spark"))
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        Image.new("RGB", (40, 40), (80 * number, 0, 0)).save(tmp_path / "pictures" / f"{number}.png")
    spec = EmbedImagesSpec(images=(str(tmp_path / "pictures"),), output=str(tmp_path / "images"), precision="fp32")
    assert COMMANDS["embed-images"].run(HERE, spec).rows == 3
    write_embeddings(tmp_path / "records", unit_vectors(4), ["a dog", "a cat", "snow", "rain"])
    texts = EmbedTextSpec(records=(str(tmp_path / "records"),), output=str(tmp_path / "texts"), precision="fp32")
    assert embed_text(HERE, texts).rows == 4
