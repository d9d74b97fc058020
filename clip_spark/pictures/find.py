"""*Driver.* Which pictures there are, from listings alone, and how they are cut into shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from clip_spark import storage
from clip_spark.datasets.manifest import MANIFEST, read_manifest
from clip_spark.errors import InputError
from clip_spark.pictures.sources import PICTURE_SUFFIXES, FileEntry, FilesPart, ParquetPart, Part, TarPart
from clip_spark.storage import FileInfo

MOST_FILES, LEAST_FILES, WANTED_SHARDS = 10_000, 250, 64
"""Single files per shard: enough to fill batches, few enough that small folders keep many cores busy."""
ALLOWED = f"pictures ({', '.join(PICTURE_SUFFIXES)}), .tar, .parquet, or a .txt list of URIs"


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
        fingerprint: what changes when any file that was found does.
    """

    files: tuple[FileEntry, ...]
    archives: tuple[TarPart | ParquetPart, ...]
    fingerprint: str


class Stamps:
    """*Driver.* `datasets.spec.fingerprint` of [[uri, bytes, stamp], ...] of all files, without that list in memory."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(b"[", digest_size=16)
        self._between = b""

    def add(self, files: Iterable[FileInfo]) -> None:
        """Files in their order."""
        for file in files:
            row = json.dumps([file.uri, file.bytes, file.stamp], separators=(",", ":"), ensure_ascii=False)
            self._hash.update(self._between + row.encode())
            self._between = b","

    def fingerprint(self) -> str:
        """32 hex digits; the last call."""
        self._hash.update(b"]")
        return self._hash.hexdigest()


def find_pictures(uris: tuple[str, ...]) -> FoundPictures:
    """*Driver.* List the inputs.

    Raises:
        InputError: an input is missing, or holds nothing that can be read.
    """
    files: list[FileEntry] = []
    archives: list[TarPart | ParquetPart] = []
    stamps = Stamps()
    for uri in map(storage.absolute, uris):
        found = _list(uri)
        stamps.add(found)
        if len(found) == 1 and found[0].uri == uri and uri.lower().endswith(".txt"):
            files += _read_list(uri)
            continue
        usable = list(_entries(found)), list(_archives(found))
        if not any(usable):
            raise InputError(f"'{uri}' holds {len(found)} files but none that can be embedded; allowed: {ALLOWED}.")
        files += usable[0]
        archives += usable[1]
    return FoundPictures(tuple(files), tuple(archives), stamps.fingerprint())


def _list(uri: str) -> list[FileInfo]:
    found = storage.list_files(uri)
    if not found:
        state = "is empty" if storage.exists(uri) else "does not exist"
        raise InputError(f"The images '{uri}' {state}; give {ALLOWED}, or folders of them.")
    if any(file.uri == storage.join(uri, MANIFEST) for file in found):  # a dataset of ours: its images, nothing else
        wanted = set(read_manifest(uri, "images").files("images"))
        return [file for file in found if file.uri in wanted]
    return found


def _suffix(uri: str) -> str:
    return uri.rpartition(".")[2].lower()


def _entries(found: list[FileInfo]) -> Iterator[FileEntry]:
    """*Pure.* The pictures, each with the `.txt` and `.json` of the same name beside it."""
    beside = {file.uri for file in found if _suffix(file.uri) in ("txt", "json")}
    for file in found:
        if _suffix(file.uri) in PICTURE_SUFFIXES:
            stem = file.uri.rpartition(".")[0]
            caption, metadata = f"{stem}.txt", f"{stem}.json"
            yield FileEntry(file.uri, caption if caption in beside else "", metadata if metadata in beside else "")


def _archives(found: list[FileInfo]) -> Iterator[TarPart | ParquetPart]:
    for file in found:
        if _suffix(file.uri) == "tar":
            yield TarPart(file.uri)
        elif _suffix(file.uri) == "parquet":
            yield ParquetPart(file.uri)


def _read_list(uri: str) -> Iterator[FileEntry]:
    lines = storage.read_bytes(uri).decode("utf-8", "replace").splitlines()
    uris = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not uris:
        raise InputError(f"The list '{uri}' holds no URIs; write one per line.")
    return (FileEntry(storage.absolute(line)) for line in uris)


def plan_shards(found: FoundPictures, shard_rows: int) -> list[PictureShard]:
    """*Pure.* Single files in shards of nearly equal number, then one shard for each tar and parquet file.

    A tar is read from its start to its end by one task: its members' places are known only by reading it.
    """
    total = len(found.files)
    most = shard_rows or min(MOST_FILES, max(LEAST_FILES, -(-total // WANTED_SHARDS)))
    count = -(-total // most)
    bounds = [total * number // count for number in range(count + 1)] if count else []
    parts: list[Part] = [FilesPart(found.files[a:b]) for a, b in zip(bounds, bounds[1:], strict=False)]
    return [PictureShard(number, part) for number, part in enumerate([*parts, *found.archives])]
