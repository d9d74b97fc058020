"""*Driver.* What killed jobs leave behind, found below a folder and deleted: nothing of it is part of a dataset.

temporary file        local: a writer was killed before the rename
unfinished upload     S3: a writer was killed during a multipart upload; invisible in listings, but billed
replaced generation   what only a replaced manifest names; readers could go on with it until now
abandoned generation  written aside, or first of all, and never committed; its writer is barred before it is deleted
work files            of a driver that ended between its commit and their deletion
unfinished run        a claim without a manifest; only with `unfinished`, since the same command goes on from there
unfinished publication   in a cache folder: what a killed publish had ready for a hub; only with `unfinished` too
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from clip_spark import storage
from clip_spark.commands.leftovers import (
    HOUR,
    Leftover,
    Root,
    claimed_folders,
    leftover_files,
    replaced,
    sides,
    unfinished_uploads,
)
from clip_spark.datasets.commit import fence
from clip_spark.datasets.plan import PLAN
from clip_spark.datasets.retire import delete_retired
from clip_spark.datasets.tables import Table
from clip_spark.datasets.unfinished import delete_unfinished, drop_superseded
from clip_spark.errors import InputError
from clip_spark.storage.stores import clear_errors

SHOWN = 20


def find_leftovers(uri: str, *, older_than_hours: float, unfinished: bool) -> Iterator[Leftover]:
    """*Driver.* What may be deleted below a folder, one by one, while the folder is listed: there may be millions.

    Args:
        uri: the folder; datasets may lie at any depth below it.
        older_than_hours: younger things may belong to a job that is running.
        unfinished: also folders with a claim and no manifest.

    Raises:
        InputError: there is no such folder.
    """
    uri = storage.absolute(uri)
    some = False
    for one in _all(uri, older_than_hours, unfinished):
        some = True
        if one.age_hours >= older_than_hours:
            yield one
    if not some and not storage.exists(uri):
        raise InputError(f"'{uri}' does not exist; there is nothing to clean.")


def _all(uri: str, older_than_hours: float, unfinished: bool) -> Iterator[Leftover]:
    yield from unfinished_uploads(uri)
    roots = {folder: root for folder in claimed_folders(uri) if (root := Root.of(folder)) is not None}
    yield from leftover_files(uri, roots, unfinished)
    for root in roots.values():
        yield from replaced(root, older_than_hours)


def delete_each(leftovers: Iterable[Leftover], older_than_hours: float = 0) -> Iterator[Leftover]:
    """*Driver.* Delete what is found, and hand it on; single files go many at a time."""
    files: list[str] = []
    for one in leftovers:
        if one.kind == "temporary file":
            files.append(one.uri)
        else:
            _delete(one, older_than_hours)
        if len(files) == storage.DELETED_AT_ONCE:
            storage.remove_files(files)
            files = []
        yield one
    storage.remove_files(files)


def _delete(leftover: Leftover, older_than_hours: float) -> None:
    """Delete one leftover; nothing happens if it is gone already, has become official, or is worked on again."""
    if leftover.upload_id:
        fs, path = storage.filesystem(leftover.uri)
        bucket, _, key = path.partition("/")
        with clear_errors(leftover.uri, "cleaned"):
            fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=leftover.upload_id)
    elif leftover.retired is not None:
        delete_retired(leftover.retired)
    elif leftover.uri == leftover.root and leftover.kind == "abandoned generation":
        drop_superseded(leftover.root)
    elif leftover.kind == "abandoned generation":
        place = leftover.uri[len(leftover.root) + 1 :]
        for folder in sides(place) if fence(leftover.root, place) else ():
            storage.remove_tree(storage.join(leftover.root, folder))
    elif leftover.kind == "unfinished run":
        _delete_run(leftover.root, older_than_hours)
    else:
        storage.remove_tree(leftover.uri)


def _delete_run(root: str, older_than_hours: float) -> None:
    """Unless it has been taken up again since it was found."""
    begun = (changed for _, _, changed in storage.iter_everything(storage.join(root, PLAN)))
    if any(time.time() - changed < older_than_hours * HOUR for changed in begun):
        return
    delete_unfinished(root)


@dataclass
class Tally:
    """*Pure.* How much was found, and the first few: all of it may be more than memory holds."""

    first: list[Leftover] = field(default_factory=list)
    numbers: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)

    def add(self, found: Leftover) -> None:
        """Count one more."""
        if len(self.first) < SHOWN:
            self.first.append(found)
        self.numbers[found.kind] += 1
        self.sizes[found.kind] += found.bytes

    def tables(self) -> Iterator[Table]:
        """The first ones; and numbers by kind where there are more."""
        if self.first:
            rows = [(one.kind, one.bytes, one.age_hours, one.uri) for one in self.first]
            yield Table("left behind", ("kind", "bytes", "hours old", "place"), rows)
        if self.numbers.total() > len(self.first):
            sums = [(kind, number, self.sizes[kind]) for kind, number in sorted(self.numbers.items())]
            yield Table("in all", ("kind", "number", "bytes"), sums)
