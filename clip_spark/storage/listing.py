"""*Anywhere.* The files below a folder as a stream: a listing of ten million files must not hold ten million dicts.

Of each file: path inside the file system, bytes, a stamp (mtime or etag) that changes when it is rewritten, and the
time of its last change in seconds since the epoch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

BROKEN_LINK = "leads nowhere"
"""Stamp of a link to nothing: a file for whoever counts files, and missing for whoever reads it."""
Listed = tuple[str, int, str, float]


def walk(fs: Any, path: str) -> Iterator[Listed]:
    """*Anywhere.* All files below a folder, or the file itself, or what a glob matches; in no order.

    Raises:
        FileNotFoundError: there is no such place.
    """
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if any(c in path for c in "*?[") and not fs.exists(path):  # a folder may be called `Photos [2023]`
        return _described(fs.glob(path, detail=True))
    if "file" in protocols:
        return _walk_local(path)
    if "s3" in protocols:
        return _walk_s3(fs, path)
    return _described(fs.find(path, detail=True))


def _described(found: dict[str, dict[str, Any]]) -> Iterator[Listed]:
    for path, info in found.items():
        if info["type"] == "file":
            yield path, int(info["size"] or 0), _stamp(info), seconds_of(info)


def _stamp(info: dict[str, Any]) -> str:
    found = next(
        (info[key] for key in ("ETag", "etag", "blob_id", "mtime", "LastModified", "updated") if info.get(key)), ""
    )
    return str(found).strip('"')


def _walk_local(path: str) -> Iterator[Listed]:
    """Links to files count as files; those to folders are followed, each folder once: they may lead round in a circle.

    Folders come before links, so that what can be reached both ways has the path without a link.
    """
    if not os.path.isdir(path):
        found = os.stat(path)
        yield path, found.st_size, str(found.st_mtime), found.st_mtime
        return
    seen: set[tuple[int, int]] = set()
    links = [path]
    while links:
        folders, more = [links.pop(0)], list[str]()
        while folders:
            yield from _folder_files(folders.pop(), seen, folders, more)
        links = sorted([*links, *more])


def _folder_files(path: str, seen: set[tuple[int, int]], folders: list[str], links: list[str]) -> Iterator[Listed]:
    """The files of one folder that was not seen yet; folders and links to folders in it are added to the lists."""
    with suppress(FileNotFoundError):
        about = os.stat(path)
        if (about.st_dev, about.st_ino) in seen:
            return
        seen.add((about.st_dev, about.st_ino))
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir():
                    (links if entry.is_symlink() else folders).append(entry.path)
                elif entry.is_file():
                    with suppress(FileNotFoundError):  # deleted since
                        found = entry.stat()
                        yield entry.path, found.st_size, str(found.st_mtime), found.st_mtime
                elif entry.is_symlink() and not os.path.exists(entry.path):
                    yield entry.path, 0, BROKEN_LINK, 0.0


def _walk_s3(fs: Any, path: str) -> Iterator[Listed]:
    """Page by page of 1,000 objects; s3fs itself would gather all pages first."""
    fs.connect()  # then it has a session
    fs.session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_time)
    bucket, _, key = path.partition("/")
    request = {"Bucket": bucket, "Prefix": f"{key.rstrip('/')}/" if key else "", **fs.req_kw}
    found = False
    while True:
        page = fs.call_s3("list_objects_v2", **request)
        for item in page.get("Contents", ()):
            found = True
            if not item["Key"].endswith("/"):  # a marker of an empty folder
                yield f"{bucket}/{item['Key']}", int(item["Size"]), item["ETag"].strip('"'), seconds_of(item)
        if not page.get("IsTruncated"):
            break
        request["ContinuationToken"] = page["NextContinuationToken"]
    if not found and key:
        yield _object_s3(fs, path)


def _object_s3(fs: Any, path: str) -> Listed:
    """One object in one request, where `fs.info` takes two and lists once more if there is none."""
    bucket, _, key = path.partition("/")
    page = fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=key, MaxKeys=1, **fs.req_kw)
    for item in page.get("Contents", ()):  # of all names that begin like this the shortest comes first
        if item["Key"] == key:
            return path, int(item["Size"]), item["ETag"].strip('"'), seconds_of(item)
    raise FileNotFoundError(path)


def seconds_of(info: dict[str, Any]) -> float:
    """*Pure.* When a listed thing was last changed, in seconds since the epoch; now, where its store does not say."""
    stamp = next((info[key] for key in ("mtime", "LastModified", "updated", "Initiated") if info.get(key)), None)
    if isinstance(stamp, str):
        stamp = datetime.fromisoformat(stamp)
    return stamp.timestamp() if isinstance(stamp, datetime) else float(stamp or time.time())


def parse_time(value: Any) -> datetime:
    """*Pure.* botocore's `parse_timestamp`, which guesses at the format: four fifths of the CPU time of a listing.

    Args:
        value: `2026-11-21T12:00:00.000Z` as in listings, or whatever else botocore understands.
    """
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        from botocore.utils import parse_timestamp

        return parse_timestamp(value)
