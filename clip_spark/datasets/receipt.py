"""*Worker.* What a task says about its shard, in a file that it writes last of all."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from clip_spark import storage

RECEIPTS = "receipts"
WRITTEN_AGAIN = "rows written again"
"""Counter of a receipt: rows of the generation before among those of the shard; a task alone knows how many."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a task returns about its shard; small, for there may be a million of them.

    Attributes:
        shard: the number from the plan.
        plan: fingerprint of the plan; a receipt of another plan is not valid.
        rows: rows written.
        files: path inside the dataset -> bytes.
        id_checksum: over the record ids in order (not the vectors: two kinds of device differ in the last bits).
        rejects: reason -> records dropped.
        seconds: stage -> seconds.
        counters: anything else that the step sums up (tokens, texts cut, ...).
    """

    shard: int
    plan: str
    rows: int
    files: dict[str, int]
    id_checksum: str = ""
    rejects: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """*Pure.* 16 hex digits that no other shard has: of what was planned, and of the rows that came of it."""
        content = f"{self.plan} {self.shard} {self.rows} {self.id_checksum}"
        return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """*Pure.* Ready for JSON; not `asdict`, which copies every part and takes most of a commit's time."""
        return {name: getattr(self, name) for name in RECEIPT_FIELDS}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Receipt:
        """*Pure.* The inverse of `to_json`; plan, reasons and stages are the same few texts in a million receipts."""
        shared = {name: _interned(value[name]) for name in SHARED_KEYS if value.get(name)}
        return Receipt(**{**value, **shared, "plan": sys.intern(value["plan"])})


RECEIPT_FIELDS = tuple(field.name for field in dataclasses.fields(Receipt))
SHARED_KEYS = ("rejects", "seconds", "counters")


def _interned(value: Mapping[str, Any]) -> dict[str, Any]:
    return {sys.intern(key): item for key, item in value.items()}


def shard_name(number: int) -> str:
    """*Pure.* `00042`: zero-padded, so that the order by path is the order of the plan (8 digits beyond 99,999)."""
    return f"{number:05d}" if number < 100_000 else f"{number:08d}"


def sum_up(values: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """*Pure.* Numbers of all receipts by name, such as their counters."""
    total: Counter[str] = Counter()
    for value in values:
        total.update(value)
    return total


def write_receipt(output: str, receipt: Receipt) -> None:
    """*Worker.* Write a shard's receipt; the last thing that a task does."""
    storage.write_json(_place(output, receipt.shard), receipt.to_json())


def has_receipt(output: str, shard: int) -> bool:
    """*Worker.* Whether a task has finished this shard."""
    return storage.exists(_place(output, shard))


def found_receipt(output: str, plan: str, shard: int) -> Receipt | None:
    """*Worker.* The receipt of this shard, if a task of the plan has finished it."""
    with suppress(FileNotFoundError):
        found = Receipt.from_json(storage.read_json(_place(output, shard)))
        return found if found.plan == plan else None
    return None


def _place(output: str, shard: int) -> str:
    return storage.join(output, RECEIPTS, f"{shard_name(shard)}.json")
