"""One line of a Spark error tells a person what happened, whichever Spark says it.

tests/recorded/spark-4.3.0.json holds what Spark 4.3.0 said, word for word; Spark 3.5 wraps the same tracebacks in a
page of the JVM's, as `of_spark_35` does.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clip_spark.errors import DatasetError
from clip_spark.runtime.causes import NO_MEMORY, root_cause, was_interrupted

RECORDED = json.loads((Path(__file__).resolve().parents[1] / "recorded" / "spark-4.3.0.json").read_text())
CALL = "An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.\n"
ABORTED = (
    ": org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 1.0 failed 4 times, most "
    "recent failure: Lost task 0.3 in stage 1.0 (TID 5) (127.0.0.1 executor 1): "
)
JVM = (
    "\n\n\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:572)"
)

CAUSES = {
    "arrow": "pyarrow.lib.ArrowInvalid: Added column's length must match table's length. Expected length 1 but got "
    "length 2.",
    "memory": f"MemoryError: {NO_MEMORY}.",
    "chained": "RuntimeError: cannot go on.",
    "full": "OSError: [Errno 28] No space left on device: '/x/y'.",
    "ours": "Shard 3: folders differ in rows: {'a': 1}.",
    "value": "ValueError: bad row: 'x'.",
}


def of_spark_35(recorded: str) -> str:
    """The traceback of a message as Spark 3.5 shows it: inside the JVM's own, and once more as its cause."""
    raised = "org.apache.spark.api.python.PythonException: " + recorded[recorded.index("Traceback") :] + JVM
    return f"{CALL}{ABORTED}{raised}\n\nDriver stacktrace:\n\tat x.y\nCaused by: {raised}\n\t... 1 more\n"


@pytest.mark.parametrize("name", CAUSES)
def test_an_error_of_python_is_one_sentence(name: str) -> None:
    assert root_cause(RuntimeError(RECORDED[name])) == CAUSES[name]
    assert root_cause(RuntimeError(of_spark_35(RECORDED[name]))) == CAUSES[name]


def test_a_worker_that_died_is_what_spark_says_of_it() -> None:
    found = root_cause(RuntimeError(RECORDED["exit"]))
    assert found.startswith("org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)")
    assert "\n" not in found


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            "java.io.IOException: No space left on device\n\tat java.base/java.io.FileOutputStream.write",
            "java.io.IOException: No space left on device.",
        ),
        (
            "ExecutorLostFailure (executor 1 exited unrelated to the running tasks) Reason: worker lost\nDriver "
            "stacktrace:",
            "ExecutorLostFailure (executor 1 exited unrelated to the running tasks) Reason: worker lost.",
        ),
    ],
)
def test_without_a_traceback_it_is_what_spark_says_of_the_task(said: str, cause: str) -> None:
    assert root_cause(RuntimeError(CALL + ABORTED + said)) == cause


def test_anything_else_is_its_first_line() -> None:
    assert root_cause(RuntimeError("Cannot start\nmore")) == "Cannot start."
    assert root_cause(KeyError()) == "KeyError."
    assert root_cause(DatasetError("A shard is missing.")) == "A shard is missing."


def test_an_error_on_the_way_out_of_a_ctrl_c_is_the_ctrl_c() -> None:
    assert was_interrupted(raised_while(KeyboardInterrupt(), ConnectionError("Answer from Java side is empty")))
    assert not was_interrupted(raised_while(ValueError(), ConnectionError()))


def raised_while(first: BaseException, then: Exception) -> Exception:
    """What is caught when a clean-up fails that the first error has begun."""
    try:
        try:
            raise first
        finally:
            raise then
    except Exception as error:
        return error
