"""*Driver.* The files of a folder sorted out: pictures with what lies beside them, archives, and what is left out.

A name that says nothing is not believed: such files are opened, and their first bytes tell.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from clip_spark import storage
from clip_spark.datasets.foreign_tables import partitions
from clip_spark.pictures.folder_tables import TABLES
from clip_spark.pictures.formats import HEAD_BYTES, KNOWN_OTHERS, PICTURE_ENDINGS, ending, picture_format, what_else
from clip_spark.pictures.items import LeftOut
from clip_spark.pictures.plain_text import printable
from clip_spark.pictures.sources import FileEntry
from clip_spark.pictures.table_rows import ARROW_ENDINGS, TablePart
from clip_spark.pictures.tars import TarPart
from clip_spark.storage import FileInfo

TAR_ENDINGS = (".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
PARQUET_ENDINGS = (".parquet", ".pq", ".parquet.gzip", ".parquet.gz", ".parquet.snappy", ".parq")
TABLE_ENDINGS = (*PARQUET_ENDINGS, *ARROW_ENDINGS)
TEXT_ENDINGS = ("txt", "caption")
ALLOWED = "pictures (jpg, png, webp, gif, tif, heic and others), .tar, .parquet, .arrow, or a .txt list of URIs"
SNIFFERS = 32
"""Threads that look into files of unknown endings."""
Archive = TarPart | TablePart


@dataclass
class FolderFiles:
    """What an input holds.

    Attributes:
        files: pictures in the order of their paths.
        archives: tars and tables of pictures, in the order of their paths.
        read: all files whose content decides the result.
        left_out: counters of the others by ending and reason.
    """

    files: list[FileEntry] = field(default_factory=list)
    archives: list[Archive] = field(default_factory=list)
    read: list[FileInfo] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def stamps(self) -> list[str]:
        """For each picture, then each archive: what changes when it, or a text or table beside it, does."""
        found = {file.uri: f"{file.bytes}:{file.stamp}" for file in self.read}
        pictures = ([entry.uri, entry.caption, entry.metadata, entry.table] for entry in self.files)
        return [stamp_of(found.get(uri, "") for uri in uris) for uris in pictures] + [
            stamp_of([found.get(archive.uri, "")]) for archive in self.archives
        ]

    def leave_out(self, file: FileInfo, reason: str) -> None:
        """Count a file that is not read."""
        self.left_out[LeftOut(ending(printable(file.uri)), reason).counter] += 1


def stamp_of(parts: Iterable[str]) -> str:
    """*Pure.* 16 hex digits."""
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def archive_of(uri: str) -> Archive | None:
    """*Pure.* The tar or table that a name tells of, or None."""
    lower = uri.lower()
    if lower.endswith(TAR_ENDINGS):
        return TarPart(uri)
    return TablePart(uri) if lower.endswith(TABLE_ENDINGS) else None


def sort_out(place: str, listed: list[FileInfo]) -> FolderFiles:
    """*Driver.* Sort the files of a folder, a glob or a single file.

    Args:
        place: the input; what is hidden is so from there on.
        listed: its files in order, hidden ones too.
    """
    found = FolderFiles()
    visible = [file for file in listed if _is_visible(file, place, found)]
    kinds = _kinds(visible)
    pictures = [file for file in visible if kinds[file.uri] == "picture"]
    beside = Beside(file for file in visible if kinds[file.uri] == "")
    used = set[str]()
    for file in pictures:
        entry = beside.entry(file)
        used.update(uri for uri in (file.uri, entry.caption, entry.metadata, entry.table) if uri)
        used.add(file.uri)
        found.files.append(entry)
    _take_archives(visible, kinds, found, used)
    found.archives = [_with_folders(archive, place) for archive in found.archives]
    for file in visible:
        if file.uri in used:
            found.read.append(file)
        elif kinds[file.uri] not in ("archive", "picture"):
            found.leave_out(file, kinds[file.uri] or _why_unused(file))
    return found


def _is_visible(file: FileInfo, place: str, found: FolderFiles) -> bool:
    below = file.uri[len(place) :] if file.uri.startswith(place + "/") else "/" + storage.name(file.uri)
    if file.uri != place and storage.is_hidden(below):
        found.leave_out(file, "hidden, or Spark's own")
        return False
    return True


def _kinds(files: list[FileInfo]) -> dict[str, str]:
    """URI -> `picture`, `archive`, empty for a known other file, else what the bytes of an unknown one are."""
    kinds = {file.uri: _kind_by_name(file.uri) for file in files}
    unknown = [uri for uri, kind in kinds.items() if kind == "unknown"]
    with ThreadPoolExecutor(SNIFFERS) as pool:
        kinds.update(zip(unknown, pool.map(_kind_by_bytes, unknown), strict=True))
    return kinds


def _kind_by_name(uri: str) -> str:
    if archive_of(uri) is not None:
        return "" if storage.name(uri).lower() in TABLES else "archive"
    found = ending(printable(uri))
    if found in PICTURE_ENDINGS:
        return "picture"
    return "" if found in KNOWN_OTHERS else "unknown"


def _kind_by_bytes(uri: str) -> str:
    try:
        with storage.open_read(uri) as stream:
            head = stream.read(HEAD_BYTES)
    except OSError:
        return "cannot be opened"
    if picture_format(head):
        return "picture"
    other = what_else(head)
    return f"no picture: it holds {other}" if other else "no picture that we know"


def _take_archives(files: list[FileInfo], kinds: dict[str, str], found: FolderFiles, used: set[str]) -> None:
    """Tars and parquet files; not the table that img2dataset writes beside a tar or a folder of the same name."""
    stems = {file.uri.rpartition(".")[0] for file in files if file.uri.lower().endswith(TAR_ENDINGS)}
    stems |= {entry.uri.rpartition("/")[0] for entry in found.files}
    for file in files:
        if kinds[file.uri] != "archive":
            continue
        archive = archive_of(file.uri)
        if isinstance(archive, TablePart) and file.uri.rpartition(".")[0] in stems:
            found.leave_out(file, "the table of a tar or folder of the same name")
        elif archive is not None:
            found.archives.append(archive)
            used.add(file.uri)


def _with_folders(archive: Archive, place: str) -> Archive:
    """A table with the columns that its folders below the input name, as Hive's do."""
    if isinstance(archive, TarPart) or not archive.uri.startswith(place + "/"):
        return archive
    return replace(archive, partitions=tuple(partitions(archive.uri[len(place) + 1 :]).items()))


def _why_unused(file: FileInfo) -> str:
    if ending(file.uri) in (*TEXT_ENDINGS, "json"):
        return "no picture of that name beside it"
    return "neither picture nor archive"


class Beside:
    """*Pure.* Texts, JSON and tables by the place of the picture that they belong to."""

    def __init__(self, files: Iterable[FileInfo]) -> None:
        self._texts: dict[str, str] = {}
        self._tables: dict[str, str] = {}
        for file in files:
            folder, _, name = file.uri.rpartition("/")
            if name.lower() in TABLES:
                known = storage.name(self._tables.get(folder, TABLES[-1])).lower()
                if TABLES.index(name.lower()) <= TABLES.index(known):
                    self._tables[folder] = file.uri
            elif (kind := ending(file.uri)) in (*TEXT_ENDINGS, "json"):
                self._texts[f"{file.uri.rpartition('.')[0]}.{kind}"] = file.uri

    def entry(self, file: FileInfo) -> FileEntry:
        """The picture with its caption (`a.txt`, `a.jpg.txt`, `.caption`), JSON, and the nearest table above it."""
        if not _is_utf8(file.uri):
            return FileEntry(printable(file.uri), reason="its name is not UTF-8")
        caption = self._first(file.uri, *TEXT_ENDINGS)
        return FileEntry(
            file.uri, caption, self._first(file.uri, "json"), self._table(file.uri) if self._tables else ""
        )

    def _first(self, uri: str, *endings: str) -> str:
        stem, dot, _ = uri.rpartition(".")
        stems = (stem, uri) if dot and "/" not in uri[len(stem) :] else (uri,)
        places = (f"{place}.{kind}" for kind in endings for place in stems)
        return next((self._texts[place] for place in places if place in self._texts), "")

    def _table(self, uri: str) -> str:
        folder = uri.rpartition("/")[0]
        while folder and folder not in self._tables:
            folder = folder.rpartition("/")[0]
        return self._tables.get(folder, "")


def _is_utf8(uri: str) -> bool:
    try:
        uri.encode()
    except UnicodeEncodeError:
        return False
    return True
