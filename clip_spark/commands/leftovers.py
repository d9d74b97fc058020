"""*Driver.* What `clean` may delete, found in streams: what is remembered grows with the datasets, not their files."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from clip_spark import storage
from clip_spark.analysis.publish.spec import CLAIM
from clip_spark.datasets.commit import history_uri, named_places, read_head
from clip_spark.datasets.manifest import MANIFEST
from clip_spark.datasets.own_files import OF_A_RUN
from clip_spark.datasets.plan import PLAN, found_plan
from clip_spark.datasets.retire import Retired, find_retired
from clip_spark.errors import ClipSparkError
from clip_spark.storage.listing import seconds_of
from clip_spark.storage.stores import clear_errors

HOUR = 3600.0
TEMPORARY = re.compile(rf"\..+\.[0-9a-f]{{32}}{re.escape(storage.TEMPORARY)}")
PLACE = re.compile(r"((?:generations|parts|building)/[0-9a-f]{8})/.+")
STAGED = re.compile(r"(.*/publish-[0-9a-f]{32})/.+")
"""In a cache folder: what a killed publish had written for a hub; its claim says that it is ours."""
WORK = re.compile(r"((?:generations/[0-9a-f]{8}/)?_work/(?:growth\.json|[0-9a-f]{32}(?=/))).*")


@dataclass(frozen=True)
class Leftover:
    """One thing that may be deleted.

    Attributes:
        kind: as in the table of clean.py.
        uri: the file, or the folder.
        bytes: its size as far as known.
        age_hours: since anything of it was last written, or since it was replaced.
        upload_id: S3's id of an unfinished upload, else empty.
        root: folder of the dataset that it lies in, else empty.
        retired: what `replaced generation` means.
    """

    kind: str
    uri: str
    bytes: int
    age_hours: float
    upload_id: str = ""
    root: str = ""
    retired: Retired | None = None


@dataclass(frozen=True)
class Root:
    """A folder that a run of ours has claimed, and the places inside that are official or were."""

    uri: str
    committed: bool
    places: frozenset[str]

    @staticmethod
    def of(uri: str) -> Root | None:
        """None if the files that look like a claim are not ours, or are damaged: then nothing is deleted there."""
        with suppress(ClipSparkError, FileNotFoundError, AttributeError, KeyError, TypeError, ValueError):
            head = read_head(uri)
            if head.manifest is not None:
                return Root(uri, True, frozenset(named_places(head.manifest)))
            return Root(uri, False, frozenset()) if head.version or found_plan(uri) is not None else None
        return None


def claimed_folders(uri: str) -> Iterator[str]:
    """*Driver.* Folders with a manifest or a plan, those of generations inside datasets left out."""
    for _, file, _ in storage.iter_everything(uri):
        folder, _, base = file.uri.rpartition("/")
        if base in (MANIFEST, PLAN) and not PLACE.fullmatch("/".join(file.uri.split("/")[-3:])):
            yield folder


@dataclass
class _Sum:
    """Files of one leftover, added up."""

    bytes: int = 0
    changed: float = 0.0

    def add(self, file: storage.FileInfo, changed: float) -> None:
        self.bytes += file.bytes
        self.changed = max(self.changed, changed)


def leftover_files(uri: str, roots: dict[str, Root], unfinished: bool) -> Iterator[Leftover]:
    """*Driver.* One pass over all files."""
    sums: dict[tuple[str, str, str], _Sum] = {}
    for _, file, changed in storage.iter_everything(uri):
        root = _root_of(file.uri, roots)
        if TEMPORARY.fullmatch(storage.name(file.uri)):
            yield Leftover("temporary file", file.uri, file.bytes, _hours(changed))
        elif unfinished and root is None and (staged := STAGED.fullmatch(file.uri)):
            sums.setdefault(("unfinished publication", "", staged[1]), _Sum()).add(file, changed)
        elif root is not None and (what := _what(root, file.uri[len(root.uri) + 1 :], unfinished)):
            sums.setdefault((*what, root.uri), _Sum()).add(file, changed)
    for (kind, path, root_uri), total in sums.items():
        place = storage.join(root_uri, path) if path else root_uri
        if kind == "unfinished publication" and not storage.exists(storage.join(place, CLAIM)):
            continue
        yield Leftover(kind, place, total.bytes, _hours(total.changed), root=root_uri)


def _root_of(uri: str, roots: dict[str, Root]) -> Root | None:
    """*Pure.* The dataset that a file lies in; of nested ones the innermost."""
    folder = uri
    while "/" in folder:
        folder = folder.rpartition("/")[0]
        if folder in roots:
            return roots[folder]
    return None


def _what(root: Root, path: str, unfinished: bool) -> tuple[str, str] | None:
    """*Pure.* Kind and path of the leftover that a file of a dataset belongs to; None if it is to stay."""
    if not root.committed:
        own = OF_A_RUN.fullmatch(path) or PLACE.fullmatch(path) or WORK.fullmatch(path)
        return ("unfinished run", "") if unfinished and own else None
    if found := PLACE.fullmatch(path):
        place = found[1].replace("building/", "parts/")
        if place not in root.places:
            return "abandoned generation", place
        if found[1] != place:
            return "work files", found[1]
    if found := WORK.fullmatch(path):
        return "work files", found[1]
    if "" not in root.places and OF_A_RUN.fullmatch(path):
        return "abandoned generation", ""
    return None


def replaced(root: Root, older_than_hours: float) -> Iterator[Leftover]:
    manifest = read_head(root.uri).manifest if root.committed else None
    if manifest is None:
        return
    for old in find_retired(manifest, older_than_hours):
        uri = history_uri(root.uri, old.name)
        yield Leftover("replaced generation", uri, old.bytes, old.hours, root=root.uri, retired=old)


def sides(place: str) -> set[str]:
    """*Pure.* The folders of one writer: a generation of an index has its intermediate files in `building/`."""
    return {place, place.replace("parts/", "building/", 1)}


def _hours(changed: float) -> float:
    return max(0.0, time.time() - changed) / HOUR


def unfinished_uploads(uri: str) -> Iterator[Leftover]:
    """*Driver.* Page by page; of the folder itself, not of others whose names begin like its own."""
    fs, path = storage.filesystem(uri)
    if not hasattr(fs, "list_multipart_uploads"):
        return
    bucket, _, key = path.partition("/")
    request: dict[str, Any] = {"Bucket": bucket, "Prefix": f"{key}/" if key else ""}
    while True:
        with clear_errors(uri, "listed"):
            page = fs.call_s3("list_multipart_uploads", **request)
        for upload in page.get("Uploads") or ():
            place = f"{uri.split('://', 1)[0]}://{bucket}/{upload['Key']}"
            yield Leftover("unfinished upload", place, 0, _hours(seconds_of(upload)), upload["UploadId"])
        if not page.get("IsTruncated"):
            return
        request |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page.get("NextUploadIdMarker", "")}
