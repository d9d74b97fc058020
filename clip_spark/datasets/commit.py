"""*Driver.* How a generation becomes the official one: a single conditional write of `manifest.json`.

A writer reads the head, writes its files aside, and commits against that head. If another one has committed meanwhile,
nothing is changed. A new manifest names only files of the manifest that it replaces and files that its writer has made:
so what has been replaced never comes back, and may be deleted after a time (retire.py).

A writer that is dead, as far as can be seen, is barred before its files are deleted: by a fence in the manifest that it
began with, or, where there is none, by an empty head in its place. So it cannot commit, should it be alive after all.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import secrets
import time
from dataclasses import dataclass
from typing import Any

from clip_spark import storage
from clip_spark.datasets.manifest import EMPTIED, MANIFEST, Manifest, empty_head, parse_manifest
from clip_spark.datasets.receipt_files import write_parts
from clip_spark.errors import DatasetError, OutputError

log = logging.getLogger(__name__)

HISTORY, ASIDE = "history", ("generations/", "parts/")
TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Head:
    """What was official in a folder when a writer began.

    Attributes:
        uri: the dataset's folder.
        manifest: None if there was none, or an empty head in its place.
        version: of manifest.json, empty if there was no such file.
        data: its bytes.
        closed: an empty head, and `clean` still deletes what lies here.
    """

    uri: str
    manifest: Manifest | None
    version: str
    data: bytes
    closed: bool = False


def read_head(uri: str) -> Head:
    """*Driver.* What is official in a folder now; raises DatasetError if it cannot be read."""
    uri = storage.absolute(uri)
    data, version = storage.read_versioned(storage.join(uri, MANIFEST))
    if not version:
        return Head(uri, None, "", b"")
    try:
        value = json.loads(data)
        if EMPTIED in value:
            return Head(uri, None, version, data, bool(value["closed"]))
        return Head(uri, parse_manifest(uri, value), version, data)
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"'{storage.join(uri, MANIFEST)}' is not a manifest ({error}).") from error


def read_open_head(uri: str) -> Head:
    """*Driver.* The same for a writer that begins; raises OutputError while what lies there is being deleted."""
    head = read_head(uri)
    if head.closed:
        raise OutputError(
            f"'{head.uri}': `clean` deletes what was never finished here; when it has ended, run this again. "
            "If it was stopped: clip-spark clean FOLDER --unfinished --older-than 0 --delete."
        )
    return head


def make_official(head: Head, manifest: Manifest) -> Manifest:
    """*Driver.* Replace the head by a manifest, the files of which are all there.

    Raises:
        OutputError: another writer was quicker; what it made official stays, and this one must drop its own files.
    """
    replaced = {}
    if head.manifest is not None:
        name = hashlib.blake2b(head.data, digest_size=8).hexdigest()
        storage.write_bytes(history_uri(head.uri, name), head.data)
        kept = {old: at for old, at in head.manifest.replaced.items() if storage.exists(history_uri(head.uri, old))}
        replaced = {**kept, name: time.strftime(TIME, time.gmtime())}
    parts = write_parts(head.uri, manifest.place, manifest.receipts)
    manifest = dataclasses.replace(manifest, beside={**manifest.beside, **parts}, replaced=replaced)
    while True:
        if head.manifest is not None and manifest.place in head.manifest.fenced:
            raise OutputError(f"'{head.uri}': `clean` took this run for dead and deletes its files; run it again.")
        if _swap(head, _encoded(manifest, list(parts))):
            return manifest
        found = read_head(head.uri)
        if not _same_but_fences(found, head):
            raise OutputError(lost_to(found))
        head = found


def fence(uri: str, place: str) -> bool:
    """*Driver.* Bar the writer that has left its files in a place from ever committing them.

    The next commit needs no fences of the head that it replaces: it bars all who began with that head.

    Returns:
        False if that cannot be: they have become official, or there is no dataset.
    """
    while (head := read_head(uri)).manifest is not None:
        if place in named_places(head.manifest):
            return False
        if place in head.manifest.fenced:
            return True
        value = json.loads(head.data)
        value["fenced"] = [*head.manifest.fenced, place]
        if _swap(head, _bytes(value)):
            return True
    return False


def close(uri: str) -> str:
    """*Driver.* Bar all writers of a dataset that nobody has committed yet: they began without a head, or with another.

    Returns:
        a token for `reopen`; empty if a generation has become official, which then stays.
    """
    token = secrets.token_hex(8)
    while (head := read_head(uri)).manifest is None:
        if _swap(head, _bytes(empty_head(token, closed=True))):
            return token
    return ""


def reopen(uri: str, token: str) -> None:
    """*Driver.* Let new writers begin, unless another has closed it since.

    The empty head stays for good, in a few bytes: were it deleted, a writer could commit that stood still meanwhile.
    """
    head = read_head(uri)
    if head.closed and json.loads(head.data)[EMPTIED] == token:
        _swap(head, _bytes(empty_head(token, closed=False)))


def named_places(manifest: Manifest) -> set[str]:
    """*Driver.* Places of all generations with a file that is official, or is kept for readers; "" is the top."""
    places: set[str] = set()
    for name in manifest.replaced:
        data, version = storage.read_versioned(history_uri(manifest.uri, name))
        places |= _places(parse_manifest(manifest.uri, json.loads(data))) if version else set()
    return places | _places(manifest)


def _places(manifest: Manifest) -> set[str]:
    found = {"/".join(path.split("/", 2)[:2]) if path.startswith(ASIDE) else "" for path in manifest.owned()}
    return found | {manifest.place}


def lost_to(winner: Head) -> str:
    """*Pure.* One sentence for a writer that came second."""
    found = winner.manifest
    who = f"{found.kind} of {found.rows:,} rows, made official at {found.created}" if found else "a deletion"
    return (
        f"'{winner.uri}': another writer was quicker ({who}), and what it wrote stays; this one has changed nothing. "
        "Run the command again if it is still wanted."
    )


def history_uri(uri: str, name: str) -> str:
    """*Pure.* Where a manifest is kept that was replaced."""
    return storage.join(uri, HISTORY, f"{name}.json")


def _swap(head: Head, data: bytes) -> bool:
    return storage.replace_bytes(storage.join(head.uri, MANIFEST), data, head.version)


def _encoded(manifest: Manifest, parts: list[str]) -> bytes:
    return _bytes({**manifest.head_to_json(), "receipts": [], "receipt_parts": parts} if parts else manifest.to_json())


def _bytes(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _same_but_fences(one: Head, other: Head) -> bool:
    if one.manifest is None or other.manifest is None:
        return one.version == other.version
    return dataclasses.replace(one.manifest, fenced=()) == dataclasses.replace(other.manifest, fenced=())
