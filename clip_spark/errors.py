"""*Pure.* Every exception that clip-spark raises on purpose.

    ClipSparkError            something went wrong; exit status 1
    ├── DatasetError          bytes on disk are not what a manifest promises
    ├── TaskError             a Spark task failed for good
    ├── ResultError           a step made nothing, or rejected more than it may
    ├── StorageError          an object store did not answer, after all retries
    ├── Rejected              one record cannot be used; caught per record and counted, never fatal
    └── UserError             the user's mistake, found before any task runs; exit status 2
        ├── InputError        an input is missing, empty or of an unknown kind
        ├── SpecError         an option has a value that is not allowed
        ├── OutputError       the output folder holds something else
        └── ModelError        a model cannot be found, or is not the one an index was built with

A message is one sentence or two: what was found, what is allowed, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ClipSparkError(Exception):
    """Base of all errors; its text is meant for a person."""

    exit_status = 1


class DatasetError(ClipSparkError):
    """Bytes on disk are not what a manifest promises."""


class TaskError(ClipSparkError):
    """A Spark task failed for good, after its retries."""


class ResultError(ClipSparkError):
    """A step made nothing of its input, or rejected a larger share of it than it may."""


class StorageError(ClipSparkError):
    """A disk is full or not ours to write; an object store did not answer after all retries, or refuses us."""


class Rejected(ClipSparkError):
    """One record cannot be used; `reason` is a short word group that is counted, the message is for a person."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)  # both, so that it survives pickling between processes
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class UserError(ClipSparkError):
    """The user's mistake, found on the driver before any task runs."""

    exit_status = 2


class InputError(UserError):
    """An input is missing, empty or of an unknown kind."""


class SpecError(UserError):
    """An option has a value that is not allowed."""


class OutputError(UserError):
    """The output folder holds something else."""


class ModelError(UserError):
    """A model cannot be found, or is not the one an index was built with."""


def nearest(word: str, known: Iterable[str]) -> str:
    """*Pure.* ` Did you mean 'x'?` for the known word nearest to `word`, or an empty string."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{found[0]}'?" if found else ""
