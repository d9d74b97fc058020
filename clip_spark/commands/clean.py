"""*Driver.* What killed jobs leave behind, found below a folder and deleted: nothing of it is part of a dataset.

temporary file        local: a writer was killed before the rename
unfinished upload     S3: a writer was killed during a multipart upload; invisible in listings, but billed
replaced generation   what only a replaced manifest names; readers could go on with it until now
abandoned generation  written aside and never committed; its writer is barred from it before it is deleted
work files            of a driver that ended between its commit and their deletion
unfinished run        a claim without a manifest; only with `unfinished`, since the same command goes on from there
"""

from __future__ import annotations

import dataclasses

from clip_spark import storage
from clip_spark.commands.leftovers import (
    Leftover,
    Root,
    claimed_folders,
    leftover_files,
    replaced,
    sides,
    unfinished_uploads,
)
from clip_spark.datasets.commit import fence, read_head
from clip_spark.datasets.own_files import own_files
from clip_spark.datasets.plan import PLAN, Plan
from clip_spark.datasets.retire import delete_retired
from clip_spark.errors import InputError
from clip_spark.storage.stores import clear_errors

CLEANED = Plan("none", {"spec": "cleaned away"}, {}, 0)
"""Takes the place of a claim while its files are deleted, so that a run which is alive after all stops."""


def find_leftovers(uri: str, *, older_than_hours: float, unfinished: bool) -> list[Leftover]:
    """*Driver.* What may be deleted below a folder.

    Args:
        uri: the folder; datasets may lie at any depth below it.
        older_than_hours: younger things may belong to a job that is running.
        unfinished: also folders with a claim and no manifest.

    Raises:
        InputError: there is no such folder.
    """
    uri = storage.absolute(uri)
    uploads = list(unfinished_uploads(uri))
    if not uploads and not storage.exists(uri):
        raise InputError(f"'{uri}' does not exist; there is nothing to clean.")
    roots = {folder: root for folder in claimed_folders(uri) if (root := Root.of(folder)) is not None}
    found = [*uploads, *leftover_files(uri, roots, unfinished)]
    for root in roots.values():
        found += replaced(root, older_than_hours)
    return sorted((one for one in found if one.age_hours >= older_than_hours), key=lambda one: one.uri)


def delete(leftover: Leftover) -> None:
    """*Driver.* Delete one leftover; nothing happens if it is gone already, or has become official."""
    if leftover.upload_id:
        fs, path = storage.filesystem(leftover.uri)
        bucket, _, key = path.partition("/")
        with clear_errors(leftover.uri, "cleaned"):
            fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=leftover.upload_id)
    elif leftover.retired is not None:
        delete_retired(leftover.retired)
    elif leftover.kind == "abandoned generation":
        place = leftover.uri[len(leftover.root) + 1 :]
        for folder in sides(place) if fence(leftover.root, place) else ():
            storage.remove_tree(storage.join(leftover.root, folder))
    elif leftover.kind == "unfinished run":
        _delete_run(leftover.root)
    elif leftover.kind == "work files":
        storage.remove_tree(leftover.uri)
    else:
        storage.remove_files([leftover.uri])


def _delete_run(root: str) -> None:
    """The claim is taken over first and goes last: a run that is alive stops, a deletion that is stopped goes on."""
    if read_head(root).manifest is not None:
        return
    value = {**dataclasses.asdict(CLEANED), "fingerprint": CLEANED.fingerprint}
    storage.write_json(storage.join(root, PLAN), value)
    batch: list[str] = []
    for uri in own_files(root, (file.uri for _, file, _ in storage.iter_everything(root))):
        batch.append(uri)
        if len(batch) == storage.DELETED_AT_ONCE:
            storage.remove_files(batch)
            batch = []
    storage.remove_files(batch)
