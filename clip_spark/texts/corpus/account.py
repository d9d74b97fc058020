"""*Worker.* What becomes of a file beside its rows: rejects, and counts of what was found and left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from clip_spark.texts.corpus.sniff import Form

Reject = tuple[str, str, str]
"""Source, reason and message."""
FORM, LEFT_OUT = "form: ", "left out: "
"""Counters begin so; after it comes what was found, or what was left out and why."""
NO_ENDING = "no ending"
DAMAGED = "cut short or garbled"
NOT_TEXT = "not text"


@dataclass
class Account:
    """Filled by the readers of a file; its counters travel in receipts."""

    rejects: list[Reject] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)

    def reject(self, source: str, reason: str, message: str) -> None:
        """One row, or one file, that cannot be used."""
        self.rejects.append((printable(source), reason, printable(message)))

    def found(self, form: Form) -> None:
        """One file and what it is."""
        self.counters[f"{FORM}{form}"] += 1

    def leave_out(self, what: str, reason: str, number: int = 1) -> None:
        """Files or members of an archive that nobody asked for; `what` is their ending."""
        self.counters[f"{LEFT_OUT}{what or NO_ENDING}: {reason}"] += number


def named(counters: Mapping[str, float], prefix: str) -> dict[str, int]:
    """*Pure.* The counters with a prefix, without it, in order."""
    return {name.removeprefix(prefix): int(n) for name, n in sorted(counters.items()) if name.startswith(prefix)}


def printable(text: str) -> str:
    """*Pure.* A text with names of files that are not UTF-8: the odd bytes as \\xe9."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def at_row(source: str, row: int) -> str:
    """*Pure.* How a row of a file is named: `file#row`, rows counted from 1."""
    return f"{source}#{row}"
