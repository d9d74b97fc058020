"""*Driver.* What killed jobs leave behind, found below a folder and deleted: nothing of it is part of a dataset.

temporary file     local: a writer was killed before the rename
unfinished upload  S3: a writer was killed during a multipart upload; invisible in listings, but billed
building folder    an index build was killed; its intermediate Faiss files
old generation     an index was replaced and the deletion of the old parts was interrupted
unfinished run     a folder with a plan and no manifest; only with `unfinished`, since it can be resumed
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from clip_spark import storage
from clip_spark.datasets.manifest import MANIFEST
from clip_spark.datasets.plan import PLAN
from clip_spark.errors import InputError
from clip_spark.index.files.layout import BUILDING, PARTS
from clip_spark.storage.stores import clear_errors

HOUR = 3600.0


@dataclass(frozen=True)
class Leftover:
    """One thing that may be deleted.

    Attributes:
        kind: as in the table above.
        uri: the file, or the folder for `unfinished run`.
        bytes: its size as far as known.
        age_hours: since it was last written.
        upload_id: S3's id of an unfinished upload, else empty.
    """

    kind: str
    uri: str
    bytes: int
    age_hours: float
    upload_id: str = ""


def find_leftovers(uri: str, *, older_than_hours: float, unfinished: bool) -> list[Leftover]:
    """*Driver.* What may be deleted below a folder.

    Args:
        uri: the folder; datasets may lie at any depth below it.
        older_than_hours: younger things may belong to a job that is running.
        unfinished: also folders with a plan and no manifest.

    Raises:
        InputError: there is no such folder.
    """
    uri = storage.absolute(uri)
    files = _list_everything(uri)
    uploads = list(_unfinished_uploads(uri))
    if not files and not uploads and not storage.exists(uri):
        raise InputError(f"'{uri}' does not exist; there is nothing to clean.")
    found = [*_temporary_files(files), *_index_leftovers(files), *uploads]
    if unfinished:
        found += _unfinished_runs(files)
    return sorted((one for one in found if one.age_hours >= older_than_hours), key=lambda one: one.uri)


def delete(leftover: Leftover) -> None:
    """*Driver.* Delete one leftover; nothing happens if it is gone already."""
    if leftover.upload_id:
        fs, path = storage.filesystem(leftover.uri)
        bucket, _, key = path.partition("/")
        with clear_errors(leftover.uri, "cleaned"):
            fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=leftover.upload_id)
        return
    storage.remove_tree(leftover.uri)


@dataclass(frozen=True)
class _File:
    uri: str
    bytes: int
    age_hours: float


def _list_everything(uri: str) -> list[_File]:
    """*Driver.* All files, hidden and temporary ones too, with their ages."""
    fs, path = storage.filesystem(uri)
    with clear_errors(uri, "listed"):
        found = fs.find(path, detail=True) if fs.exists(path) else {}
    return [
        _File(key if storage.is_local(uri) else fs.unstrip_protocol(key), int(info["size"] or 0), _age_hours(info))
        for key, info in found.items()
    ]


def _age_hours(info: dict[str, Any]) -> float:
    stamp = next((info[key] for key in ("mtime", "LastModified", "updated", "Initiated") if info.get(key)), None)
    if isinstance(stamp, str):
        stamp = datetime.datetime.fromisoformat(stamp)
    seconds = stamp.timestamp() if isinstance(stamp, datetime.datetime) else float(stamp or time.time())
    return (time.time() - seconds) / HOUR


def _temporary_files(files: list[_File]) -> Iterator[Leftover]:
    for file in files:
        base = storage.name(file.uri)
        if base.startswith(".") and base.endswith(storage.TEMPORARY):
            yield Leftover("temporary file", file.uri, file.bytes, file.age_hours)


def _index_leftovers(files: list[_File]) -> Iterator[Leftover]:
    """*Driver.* Files of builds and generations that no manifest names, in folders that are an index of ours."""
    indices = {file.uri.removesuffix(f"/{PLAN}") for file in files if storage.name(file.uri) == PLAN}
    served = {root: _served_generation(root) for root in sorted(indices)}
    for file in files:
        for root, generation in served.items():
            parts = f"{root}/{PARTS}/"
            if file.uri.startswith(f"{root}/{BUILDING}/"):
                yield Leftover("building folder", file.uri, file.bytes, file.age_hours)
            elif generation and file.uri.startswith(parts) and not file.uri.startswith(f"{parts}{generation}/"):
                yield Leftover("old generation", file.uri, file.bytes, file.age_hours)


def _served_generation(root: str) -> str:
    place = storage.join(root, MANIFEST)
    if not storage.exists(place):
        return ""
    value = storage.read_json(place)
    return str(value.get("extra", {}).get("generation", "")) if value.get("kind") == "index" else ""


def _unfinished_runs(files: list[_File]) -> Iterator[Leftover]:
    names = {file.uri for file in files}
    for file in files:
        root = file.uri.removesuffix(f"/{PLAN}")
        if root != file.uri and f"{root}/{MANIFEST}" not in names:
            below = [other for other in files if other.uri.startswith(root + "/")]
            youngest = min(other.age_hours for other in below)
            yield Leftover("unfinished run", root, sum(other.bytes for other in below), youngest)


def _unfinished_uploads(uri: str) -> Iterator[Leftover]:
    fs, path = storage.filesystem(uri)
    if not hasattr(fs, "list_multipart_uploads"):
        return
    bucket, _, prefix = path.partition("/")
    with clear_errors(uri, "listed"):
        uploads = fs.list_multipart_uploads(bucket)
    for upload in uploads:
        if upload["Key"].startswith(prefix):
            place = f"{uri.split('://', 1)[0]}://{bucket}/{upload['Key']}"
            yield Leftover("unfinished upload", place, 0, _age_hours(upload), upload["UploadId"])
