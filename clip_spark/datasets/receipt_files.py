"""*Anywhere.* Receipts in bulk: a million small files read once, and kept in a few big ones.

<dataset>/receipts/00000.json    one per shard, written by its task
<dataset>/manifest/00000.jsonl   the same receipts, PART_RECEIPTS to a file, beside a manifest of very many shards
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from clip_spark import storage
from clip_spark.datasets.receipt import RECEIPTS, Receipt, shard_name

READ_THREADS = 32
"""Receipts are many and small: reading them is bound by the round trip to the store."""
PART_RECEIPTS = 50_000
"""Receipts in one file beside the manifest; fewer than SPLIT_RECEIPTS stay in the manifest itself."""
SPLIT_RECEIPTS = 10_000
PARTS = "manifest"

ReadMany = Callable[[str, Sequence[str]], Iterable[Any]]
"""(folder, names of JSON files in it) -> their values, in order."""


class ReceiptReader:
    """*Driver.* The receipts of one output folder; what has been read once is read again only if it was rewritten."""

    def __init__(self, output: str, read: ReadMany) -> None:
        self._place, self._read = storage.join(output, RECEIPTS), read
        self._known: dict[str, tuple[str, Receipt]] = {}

    def read(self) -> list[Receipt]:
        """All receipts that are there now, by shard number."""
        listed = storage.list_files(self._place)
        new = [file for file in listed if self._known.get(file.uri, ("", None))[0] != file.stamp]
        for file, value in zip(new, self._read(self._place, [storage.name(file.uri) for file in new]), strict=True):
            self._known[file.uri] = (file.stamp, Receipt.from_json(value))
        return sorted((self._known[file.uri][1] for file in listed), key=lambda receipt: receipt.shard)


def read_many(place: str, names: Sequence[str]) -> list[Any]:
    """*Anywhere.* The values of some JSON files of one folder, in order."""
    with ThreadPoolExecutor(READ_THREADS) as pool:
        return list(pool.map(storage.read_json, [storage.join(place, name) for name in names]))


def write_parts(output: str, place: str, receipts: Sequence[Receipt]) -> dict[str, int]:
    """*Driver.* Put very many receipts into files of their own, in the place of their generation.

    Returns:
        Their paths inside the dataset -> bytes; none if there are few enough for the manifest itself.
    """
    paths: dict[str, int] = {}
    for start in range(0, len(receipts) if len(receipts) >= SPLIT_RECEIPTS else 0, PART_RECEIPTS):
        path = "/".join(filter(None, [place, PARTS, f"{shard_name(start // PART_RECEIPTS)}.jsonl"]))
        with storage.open_write(storage.join(output, path)) as stream:
            for receipt in receipts[start : start + PART_RECEIPTS]:
                stream.write(json.dumps(receipt.to_json(), separators=(",", ":")).encode() + b"\n")
        paths[path] = storage.file_size(storage.join(output, path))
    return paths


def read_parts(output: str, paths: Iterable[str]) -> Iterator[Receipt]:
    """*Driver.* The inverse of `write_parts`."""
    for path in paths:
        # As a whole (16 MB): fsspec's files copy their 16 MB of read-ahead for each line.
        for line in storage.read_bytes(storage.join(output, path)).splitlines():
            yield Receipt.from_json(json.loads(line))
