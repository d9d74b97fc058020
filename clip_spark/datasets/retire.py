"""*Driver.* Deletes what was replaced: files that some manifest once named and none names now, after a grace time.

<dataset>/history/<name>.json    the manifest that was replaced, kept until its files are gone
CLIP_SPARK_GRACE_HOURS           so long a reader may go on with a generation that was replaced; 24 if not set
"""

from __future__ import annotations

import calendar
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from clip_spark import storage
from clip_spark.datasets.commit import TIME, history_uri
from clip_spark.datasets.manifest import Manifest, parse_manifest
from clip_spark.errors import SpecError, StorageError

log = logging.getLogger(__name__)

GRACE_VARIABLE, GRACE_HOURS = "CLIP_SPARK_GRACE_HOURS", 24.0


@dataclass(frozen=True)
class Retired:
    """What only a replaced manifest names: `paths` inside the dataset, and last of all the manifest itself."""

    uri: str
    name: str
    paths: tuple[str, ...]
    bytes: int
    hours: float


def grace_hours() -> float:
    """*Driver.* How long files stay after they were replaced; raises SpecError for a bad setting."""
    text = os.environ.get(GRACE_VARIABLE, str(GRACE_HOURS))
    try:
        return max(0.0, float(text))
    except ValueError as error:
        raise SpecError(f"{GRACE_VARIABLE} is '{text}'; give a number of hours.") from error


def find_retired(manifest: Manifest, hours: float) -> Iterator[Retired]:
    """*Driver.* What was replaced at least so many hours ago and is still there.

    It stays true whatever is committed meanwhile: a new manifest takes files from the one that it replaces, and those
    are not among these.
    """
    ages = {name: _hours_since(at) for name, at in manifest.replaced.items()}
    old = {name: _read(manifest.uri, name) for name in ages}
    kept = set(manifest.owned())
    for name, age in ages.items():
        found = old[name]
        if age < hours and found is not None:
            kept.update(found.owned())
    for name, age in ages.items():
        found = old[name]
        if age >= hours and found is not None:
            paths = dict.fromkeys(path for path in found.owned() if path not in kept)
            last = [path for path in found.beside if path in paths]  # files of receipts: without them nothing is known
            ordered = (*(path for path in paths if path not in found.beside), *last)
            yield Retired(manifest.uri, name, ordered, _bytes_of(found, paths), age)


def delete_retired(retired: Retired) -> None:
    """*Driver.* Delete the files, then the manifest that named them; may be stopped anywhere and done again."""
    storage.remove_files([storage.join(retired.uri, path) for path in retired.paths])
    storage.remove_files([history_uri(retired.uri, retired.name)])
    if storage.is_local(retired.uri):
        _remove_empty_folders(retired)


def collect(manifest: Manifest) -> None:
    """*Driver.* What each commit does last: delete what was replaced longer ago than the grace time."""
    try:
        for retired in find_retired(manifest, grace_hours()) if manifest.replaced else ():
            count, hours = len(retired.paths), retired.hours
            log.info("'%s': removing %d files that were replaced %.1f hours ago", manifest.uri, count, hours)
            delete_retired(retired)
    except (OSError, StorageError) as error:  # the commit is done, whatever becomes of what it has replaced
        log.warning("'%s': what was replaced cannot be removed (%s); `clean` finds it", manifest.uri, error)


def _bytes_of(manifest: Manifest, paths: dict[str, None]) -> int:
    sizes = (manifest.beside, *(receipt.files for receipt in manifest.receipts))
    return sum(size for files in sizes for path, size in files.items() if path in paths)


def _read(uri: str, name: str) -> Manifest | None:
    data, version = storage.read_versioned(history_uri(uri, name))
    if not version:
        return None
    with suppress(FileNotFoundError):  # the files of receipts went first when a deletion was stopped
        return parse_manifest(uri, json.loads(data))
    return None


def _hours_since(at: str) -> float:
    seconds = time.time() - calendar.timegm(time.strptime(at, TIME))
    return max(0.0, seconds) / 3600  # the clock of the machine that wrote it may be ahead


def _remove_empty_folders(retired: Retired) -> None:
    """Only folders of one generation, into which nobody writes any more; never those at the top."""
    folders = {path.rpartition("/")[0] for path in retired.paths}
    folders |= {folder.rpartition("/")[0] for folder in folders}
    for folder in sorted(folders, key=len, reverse=True):
        if "/" in folder:
            with suppress(OSError):
                os.rmdir(storage.join(retired.uri, folder))
