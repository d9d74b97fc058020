"""*Anywhere.* The files below a folder as a stream: a listing of ten million files must not hold ten million dicts.

Of each file: path inside the file system, bytes, and a stamp (mtime or etag) that changes when it is rewritten.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

Listed = tuple[str, int, str]


def walk(fs: Any, path: str) -> Iterator[Listed]:
    """*Anywhere.* All files below a folder, or the file itself, or what a glob matches; in no order.

    Raises:
        FileNotFoundError: there is no such place.
    """
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if any(c in path for c in "*?["):
        return _described(fs.glob(path, detail=True))
    if "file" in protocols:
        return _walk_local(path)
    if "s3" in protocols:
        return _walk_s3(fs, path)
    return _described(fs.find(path, detail=True))


def _described(found: dict[str, dict[str, Any]]) -> Iterator[Listed]:
    for path, info in found.items():
        if info["type"] == "file":
            yield path, int(info["size"] or 0), _stamp(info)


def _stamp(info: dict[str, Any]) -> str:
    found = next((info[key] for key in ("ETag", "etag", "mtime", "LastModified", "updated") if info.get(key)), "")
    return str(found).strip('"')


def _walk_local(path: str) -> Iterator[Listed]:
    """Links to files count as files; links to folders are not followed, for they may lead round in a circle."""
    if not os.path.isdir(path):
        found = os.stat(path)
        yield path, found.st_size, str(found.st_mtime)
        return
    folders = [path]
    while folders:
        with suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file():
                    with suppress(FileNotFoundError):  # deleted since
                        found = entry.stat()
                        yield entry.path, found.st_size, str(found.st_mtime)


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
                yield f"{bucket}/{item['Key']}", int(item["Size"]), item["ETag"].strip('"')
        if not page.get("IsTruncated"):
            break
        request["ContinuationToken"] = page["NextContinuationToken"]
    if not found and key:
        yield from _described({path: fs.info(path)})


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
