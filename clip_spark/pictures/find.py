"""*Driver.* Which pictures there are, from listings, and how they are cut into shards."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clip_spark import storage
from clip_spark.datasets.foreign_tables import live_files
from clip_spark.datasets.manifest import MANIFEST, read_manifest
from clip_spark.errors import InputError
from clip_spark.pictures.folder_files import ALLOWED, Archive, FolderFiles, archive_of, sort_out
from clip_spark.pictures.formats import PICTURE_ENDINGS, ending
from clip_spark.pictures.items import LeftOut
from clip_spark.pictures.parts import Part
from clip_spark.pictures.plain_text import printable
from clip_spark.pictures.sources import FileEntry, FilesPart
from clip_spark.pictures.table_rows import TablePart, beside
from clip_spark.storage import FileInfo

MOST_FILES, LEAST_FILES, WANTED_SHARDS = 10_000, 250, 64
"""Single files per shard: enough to fill batches, few enough that small folders keep many cores busy."""
TWICE = "given twice: read once"
LIST_ENDINGS = ("txt", "lst", "list")


@dataclass(frozen=True)
class PictureShard:
    """One item of the plan."""

    number: int
    part: Part


@dataclass(frozen=True)
class FoundPictures:
    """What the inputs hold, in the order of the inputs and of the paths in them.

    Attributes:
        files: single pictures.
        archives: tars and parquet files.
        fingerprint: what changes when any file that is read does; files that are left out change nothing.
        stamps: of each picture and then each archive, what changes when it, or what lies beside it, does.
        left_out: counters of files that are not read, by ending and reason.
        datasets: those of ours among the inputs; what they no longer name is gone for good.
    """

    files: tuple[FileEntry, ...]
    archives: tuple[Archive, ...]
    fingerprint: str
    stamps: tuple[str, ...]
    left_out: Counter[str] = field(default_factory=Counter)
    datasets: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Of each picture and then each archive, how a dataset that is made of it names it."""
        return [printable(item.uri) for item in (*self.files, *self.archives)]

    def only(self, rows: Sequence[int]) -> FoundPictures:
        """Some of them, by their rising places among the pictures and then the archives."""
        count = len(self.files)
        files = tuple(self.files[row] for row in rows if row < count)
        archives = tuple(self.archives[row - count] for row in rows if row >= count)
        return replace(self, files=files, archives=archives, stamps=tuple(self.stamps[row] for row in rows))


class Stamps:
    """*Driver.* `datasets.spec.fingerprint` of [[uri, bytes, stamp], ...] of all files, without that list in memory."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(b"[", digest_size=16)
        self._between = b""

    def add(self, files: Iterable[FileInfo]) -> None:
        """Files in their order."""
        for file in files:
            row = json.dumps([printable(file.uri), file.bytes, file.stamp], separators=(",", ":"), ensure_ascii=False)
            self._hash.update(self._between + row.encode())
            self._between = b","

    def fingerprint(self) -> str:
        """32 hex digits; the last call."""
        self._hash.update(b"]")
        return self._hash.hexdigest()


def find_pictures(uris: tuple[str, ...], image_column: str = "") -> FoundPictures:
    """*Driver.* List the inputs.

    Args:
        uris: folders, single files, globs, and lists of them.
        image_column: the column of parquet files that holds pictures; empty finds it.

    Raises:
        InputError: an input is missing, or holds nothing that can be read.
    """
    stamps, left_out = Stamps(), Counter[str]()
    files: list[tuple[FileEntry, str]] = []
    archives: list[tuple[Archive, str]] = []
    for uri in map(storage.absolute, uris):
        found = _find(uri)
        stamps.add(found.read)
        left_out.update(found.left_out)
        marks = found.stamps()
        files += zip(found.files, marks, strict=False)
        archives += zip(found.archives, marks[len(found.files) :], strict=True)
    if len(uris) > 1 or any(map(_is_list_name, uris)):
        files, archives = _once(files, left_out), _once(archives, left_out)
    parts = [replace(part, column=image_column) if isinstance(part, TablePart) else part for part, _ in archives]
    marks = [mark for _, mark in (*files, *archives)]
    entries, fingerprint = tuple(file for file, _ in files), stamps.fingerprint()
    datasets = tuple(uri for uri in map(storage.absolute, uris) if _is_ours(uri))
    return FoundPictures(entries, tuple(parts), fingerprint, tuple(marks), left_out, datasets)


def _find(uri: str) -> FolderFiles:
    listed = _list(uri)
    if len(listed) == 1 and listed[0].uri == uri and (entries := _named_list(listed[0])) is not None:
        return entries
    found = sort_out(uri, listed)
    if _is_ours(uri):  # or `_list` would have refused it
        found.archives = [replace(part, own=True) for part in found.archives]
    if not found.files and not found.archives:
        why = "; ".join(
            f"{number:,} {name.removeprefix('left out: ')}" for name, number in found.left_out.most_common(5)
        )
        raise InputError(
            f"'{uri}' holds {len(listed)} files but none that can be embedded ({why}); allowed: {ALLOWED}."
        )
    return found


def _is_ours(uri: str) -> bool:
    return storage.exists(storage.join(uri, MANIFEST))


def _list(uri: str) -> list[FileInfo]:
    found = sorted(storage.iter_files(uri, hidden=True), key=lambda file: file.uri)
    if not found:
        state = "is empty" if storage.exists(uri) else "does not exist"
        raise InputError(f"The images '{uri}' {state}; give {ALLOWED}, or folders of them.")
    if any(file.uri == storage.join(uri, MANIFEST) for file in found):  # a dataset of ours: its images, nothing else
        wanted = set(read_manifest(uri, "images").files("images"))
        return [file for file in found if file.uri in wanted]
    return live_files(found, "images")


def _is_list_name(uri: str) -> bool:
    return ending(uri) in LIST_ENDINGS


def _named_list(file: FileInfo) -> FolderFiles | None:
    """What the lines of a list name, if the file is one; relative paths are neighbours of the list."""
    if not _is_list_name(file.uri):
        return None
    text = storage.read_text(file.uri)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise InputError(f"The list '{file.uri}' holds no URIs; write one per line.")
    found = FolderFiles(read=[file])
    for uri in (beside(file.uri, line) for line in lines):
        archive = archive_of(uri) if ending(uri) not in PICTURE_ENDINGS else None
        if archive is None:
            found.files.append(FileEntry(uri))
        else:
            found.archives.append(archive)
    return found


def _once(items: list[tuple[Any, str]], left_out: Counter[str]) -> list[tuple[Any, str]]:
    """The first of each URI; the others are counted."""
    first: dict[str, tuple[Any, str]] = {}
    for item in items:
        uri = item[0].uri
        if first.setdefault(uri, item) is not item:
            left_out[LeftOut(ending(uri), TWICE).counter] += 1
    return list(first.values())


def plan_shards(found: FoundPictures, shard_rows: int, first: int = 0) -> list[PictureShard]:
    """*Pure.* Single files in shards of nearly equal number, then one shard for each tar and parquet file.

    The shards are numbered from `first`.

    A tar is read from its start to its end by one task: its members' places are known only by reading it.
    """
    total = len(found.files)
    most = shard_rows or min(MOST_FILES, max(LEAST_FILES, -(-total // WANTED_SHARDS)))
    count = -(-total // most)
    bounds = [total * number // count for number in range(count + 1)] if count else []
    parts: list[Part] = [FilesPart(found.files[a:b]) for a, b in zip(bounds, bounds[1:], strict=False)]
    return [PictureShard(number, part) for number, part in enumerate([*parts, *found.archives], first)]
