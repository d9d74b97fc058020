"""One line of a Spark error tells a person what happened."""

from __future__ import annotations

from clip_spark.runtime.tasks import root_cause

CALL = "An error occurred while calling z:org.apache.spark.api.python.PythonRDD.collectAndServe.\n"
ABORTED = (
    ": org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 1.0 failed 4 times, most "
    "recent failure: Lost task 0.3 in stage 1.0 (TID 5) (127.0.0.1 executor 1): "
)


def test_the_last_line_of_a_python_traceback_is_the_cause() -> None:
    text = (
        ABORTED + 'org.apache.spark.api.python.PythonException: Traceback\n  File "a.py"\nValueError: bad row\n\tat x'
    )
    assert root_cause(RuntimeError(CALL + text)) == "ValueError: bad row."


def test_without_a_traceback_it_is_what_spark_says_of_the_task() -> None:
    text = ABORTED + "java.io.IOException: No space left on device\n\tat java.base/java.io.FileOutputStream.write"
    assert root_cause(RuntimeError(CALL + text)) == "java.io.IOException: No space left on device."
    text = ABORTED + "ExecutorLostFailure (executor 1 exited unrelated to the running tasks)\nDriver stacktrace:"
    assert root_cause(RuntimeError(CALL + text)).startswith("ExecutorLostFailure (executor 1")


def test_anything_else_is_its_first_line() -> None:
    assert root_cause(RuntimeError("Cannot start\nmore")) == "Cannot start."
    assert root_cause(KeyError()) == "KeyError."
