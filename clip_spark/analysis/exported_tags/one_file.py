"""*Driver.* csv and imagefolder: one file for all pictures, streamed; of a file that is there every row stays.

<output>/tags.csv                      SourceFile, Subject (`; ` between tags), Scores: `exiftool -csv` takes it
<folder of the pictures>/metadata.jsonl   file_name, tags, tag_scores: `datasets.load_dataset("imagefolder")` reads it
"""

from __future__ import annotations

import codecs
import csv
import json
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import IO, Any

from clip_spark import storage
from clip_spark.analysis.exported_tags.beside import INSIDE, is_file
from clip_spark.analysis.exported_tags.edits import (
    AS_BEFORE,
    MADE,
    MEANWHILE,
    RESTORED,
    SINCE,
    STOPPED,
    THERE,
    UNDONE,
    give_marks,
    marks_of,
)
from clip_spark.analysis.exported_tags.rows import Tagged
from clip_spark.errors import InputError, OutputError
from clip_spark.pictures.folder_tables import TABLES

TAGS_CSV, METADATA = "tags.csv", "metadata.jsonl"
KEPT, FILE_NOTE = "kept", "journal/metadata.json"
SEPARATOR = "; "


def write_csv(output: str, pictures: Iterator[Tagged]) -> Counter[str]:
    """*Driver.* One row for each picture; a text with the separator in it gets a comma there."""
    counts: Counter[str] = Counter()
    with storage.open_write(storage.join(output, TAGS_CSV)) as stream:
        writer = csv.writer(codecs.getwriter("utf-8")(stream), lineterminator="\n")
        writer.writerow(("SourceFile", "Subject", "Scores"))
        for uri, tags in pictures:
            words = SEPARATOR.join(word.replace(";", ",") for word, _ in tags)
            writer.writerow((uri, words, SEPARATOR.join(f"{score:.4f}" for _, score in tags)))
            counts["pictures"] += 1
    return counts


def common_folder(uris: Iterator[str]) -> str:
    """*Pure.* The deepest folder around all of these; raises InputError where there is none."""
    found: list[str] | None = None
    for uri in uris:
        parts = uri.split("/")[:-1]
        found = parts if found is None else found[: _same(found, parts)]
    if not found or found in ([""], ["s3:", ""]):
        raise InputError("The pictures have no folder in common in which a metadata.jsonl could stand; use csv.")
    return "/".join(found)


def _same(one: list[str], other: list[str]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


class FolderTable:
    """*Driver.* The metadata.jsonl of a folder of pictures, with tags."""

    def __init__(self, output: str, folder: str) -> None:
        self.output, self.place = output, storage.join(folder, METADATA)
        for other in TABLES:
            if other != METADATA and storage.exists(storage.join(folder, other)):
                raise OutputError(f"'{folder}' has a {other}, and `datasets` reads one such file; merge a csv into it.")

    def write(self, pictures: Callable[[], Iterator[Tagged]]) -> Counter[str]:
        """Keep what is there, note what will be, then put it in place; what is noted is never noted again."""
        counts, note = Counter[str](), storage.join(self.output, FILE_NOTE)
        with tempfile.TemporaryDirectory() as scratch:
            made = os.path.join(scratch, METADATA)
            had = storage.read_json(note)["had"] if storage.exists(note) else self._keep()
            self._make(made, had, pictures(), counts)
            marks = marks_of(self.place) if had else (0, 0)
            text = json.dumps({"path": self.place, "had": had, "sha": _sha_of(made), "marks": marks})
            storage.create_bytes(note, text.encode())
            counts[self._put(made, storage.read_json(note))] += 1
        return counts

    def undo(self) -> Counter[str]:
        """Give the folder back the file that it had, or none."""
        said, now = storage.read_json(storage.join(self.output, FILE_NOTE)), _sha_of(self.place)
        if now == said["had"]:
            return Counter({AS_BEFORE: 1})
        if now != said["sha"]:
            return Counter({SINCE: 1})
        if said["had"]:
            _copy(self._kept(said["had"]), self.place)
            give_marks(self.place, *said["marks"])
        else:
            storage.remove_files([self.place])
        return Counter({RESTORED: 1})

    def _kept(self, sha: str) -> str:
        """By its hash: a second run of the same command does not write over what the first has kept."""
        return storage.join(self.output, KEPT, f"{sha}.jsonl")

    def _keep(self) -> str:
        """Copy the file that is there; returns its hash, empty where there is none."""
        had = _sha_of(self.place)
        if had:
            _copy(self.place, self._kept(had))
        return had

    def _put(self, made: str, said: dict[str, str]) -> str:
        now = _sha_of(self.place)
        if now == said["sha"]:
            return THERE
        if now != said["had"] or _sha_of(made) != said["sha"]:
            return MEANWHILE
        if storage.exists(storage.join(self.output, UNDONE)):
            return STOPPED
        _copy(made, self.place)
        return MADE

    def _make(self, made: str, had: str, pictures: Iterator[Tagged], counts: Counter[str]) -> None:
        """The file as it will be, on this disk."""
        folder = self.place.rpartition("/")[0] + "/"
        rows = ((uri[len(folder) :], tags) for uri, tags in pictures if _counted(uri, counts))
        with open(made, "wb") as stream:
            if had:
                _merge(self._kept(had), rows, stream, counts)
                return
            for name, tags in rows:
                stream.write(_line({"file_name": name}, tags))


def _counted(uri: str, counts: Counter[str]) -> bool:
    counts["pictures" if is_file(uri) else INSIDE] += 1
    return is_file(uri)


def _line(row: dict[str, Any], tags: list[tuple[str, float]]) -> bytes:
    """A row with these tags behind those that it has."""
    has = row.get("tags") or []
    if not isinstance(has, list):
        raise OutputError(f"'{row['file_name']}' has a column 'tags' that is no list; use --format csv.")
    new = [(word, score) for word, score in tags if word not in has]
    scores = row.get("tag_scores") or [None] * len(has)
    row = {**row, "tags": [*has, *(word for word, _ in new)]}
    row["tag_scores"] = [*scores, *(round(score, 4) for _, score in new)]
    return (json.dumps(row, ensure_ascii=False) + "\n").encode()


def _merge(kept: str, rows: Iterator[tuple[str, Any]], out: IO[bytes], counts: Counter[str]) -> None:
    """The rows that were there, in their order, then pictures that had none; tags wait in a database on this disk."""
    with tempfile.TemporaryDirectory() as scratch, closing(sqlite3.connect(os.path.join(scratch, "tags.db"))) as found:
        found.execute("create table tags (name text primary key, tags text)")
        pairs = ((name, json.dumps(tags)) for name, tags in rows)
        found.executemany("insert or replace into tags values (?, ?)", pairs)
        found.execute("create table seen (name text primary key)")
        with storage.open_read(kept) as stream:
            for number, line in enumerate(stream):
                out.write(_with_tags(found, line, number, counts))
        left = "select name, tags from tags where name not in (select name from seen) order by name"
        for name, tags in found.execute(left):
            out.write(_line({"file_name": name}, json.loads(tags)))


def _with_tags(found: sqlite3.Connection, line: bytes, number: int, counts: Counter[str]) -> bytes:
    try:
        row = json.loads(line) if line.strip() else {}
        name = row.get("file_name")
    except (ValueError, AttributeError) as error:
        raise OutputError(
            f"Line {number + 1:,} of the metadata.jsonl that is there is no JSON object; mend it."
        ) from error
    got = found.execute("select tags from tags where name = ?", (name,)).fetchone()
    counts["rows that were there"] += bool(row)
    if got is None:
        return line if line.endswith(b"\n") else line + b"\n"
    found.execute("insert or ignore into seen values (?)", (name,))
    return _line(row, json.loads(got[0]))


def _sha_of(uri: str) -> str:
    """Of a file; empty where there is none."""
    try:
        return storage.sha256_of(uri)
    except FileNotFoundError:
        return ""


def _copy(source: str, target: str) -> None:
    with storage.open_read(source) as read, storage.open_write(target) as write:
        shutil.copyfileobj(read, write)
