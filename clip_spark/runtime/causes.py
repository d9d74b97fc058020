"""*Pure.* What went wrong on an executor, in one sentence: found in the pages that Spark makes of it.

Job aborted ... most recent failure: Lost task 0.3 in stage 1.0 (TID 5) (10.0.0.7 executor 1): <what the JVM says>
... PythonException: Traceback (most recent call last):
  File ...
pyarrow.lib.ArrowInvalid: <the cause>
    at org.apache.spark ...
"""

from __future__ import annotations

import re

from clip_spark.errors import ClipSparkError

TRACEBACK = re.compile(r"Traceback(?: \(most recent call last\):)?$")
PYTHON_ERROR = re.compile(r"(?P<name>[A-Za-z_][\w.<>]*)(?:: (?P<message>.*))?$")
LAST_FAILURE = re.compile(r"most recent failure: .*?\(TID \d+\) \([^)]*\): (.+)")
"""What Spark says of a task that failed without a Python traceback: a full disk, a lost executor."""
OURS = "clip_spark.errors."
NO_MEMORY = "a task found no memory; give its machine more, or let fewer tasks run on it at once"


def root_cause(error: BaseException) -> str:
    """*Pure.* What happened: the last line of a Python traceback, else what the JVM says of the task, else the first
    line of all."""
    if isinstance(error, ClipSparkError):
        return str(error)
    text = str(error)
    found = _python_errors(text) or LAST_FAILURE.findall(text) or text.strip().splitlines()[:1]
    return (found[-1].strip() if found else type(error).__name__).rstrip(".") + "."


def was_interrupted(error: BaseException | None) -> bool:
    """*Pure.* True of an error on the way out of a Ctrl-C.

    pyspark still talks to the JVM while the interrupt leaves its calls (SCCallSiteSync), over a connection that py4j
    has just shut down; that failure takes the interrupt's place.
    """
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _python_errors(text: str) -> list[str]:
    """*Pure.* The errors of all tracebacks in a text; of a chain of errors the last is the one that ended the task."""
    found, inside = [], False
    for line in text.splitlines():
        if TRACEBACK.search(line):
            inside = True
        elif inside and line[:1].strip():  # frames are indented
            inside = False
            if error := PYTHON_ERROR.match(line):
                found.append(_said(error["name"], error["message"] or ""))
    return found


def _said(name: str, message: str) -> str:
    """*Pure.* An error as a person reads it: our own messages are sentences, others need the name of their kind."""
    if name.startswith(OURS) and message:
        return message
    if name.rsplit(".", 1)[-1].endswith("MemoryError"):
        return f"{name}: {message or NO_MEMORY}"
    return f"{name}: {message}" if message else name
