"""*Anywhere.* The folder of this machine where fetched weights and index files stay, and what was measured here."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from clip_spark.errors import InputError
from clip_spark.storage.files import TEMPORARY, FileInfo, name, open_read
from clip_spark.storage.writes import write_json

CACHE_VARIABLE = "CLIP_SPARK_CACHE"
CHUNK_BYTES = 8 << 20
log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """*Anywhere.* Where what was fetched stays on this node: $CLIP_SPARK_CACHE, else below the temporary folder.

    Raises:
        InputError: somebody else has made the default folder; weights are taken from there, and believed.
    """
    default = Path(tempfile.gettempdir(), f"clip-spark-cache-{os.getuid()}")
    folder = Path(os.environ.get(CACHE_VARIABLE, default))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if CACHE_VARIABLE not in os.environ:
        _make_private(folder)
    return folder


def _make_private(folder: Path) -> None:
    """Anybody may make a folder of that name before us, or a link."""
    mode = own_mode(folder)
    if mode is None:
        raise InputError(f"'{folder}' is not yours; set {CACHE_VARIABLE} to a folder of your own.")
    if mode & 0o022:  # as older versions made it where a group may write
        folder.chmod(mode & ~0o022)


def own_mode(folder: Path) -> int | None:
    """*Anywhere.* The permissions of a folder that is this user's; None if it is somebody else's, or only a link."""
    found = folder.lstat()
    is_own = found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode)
    return stat.S_IMODE(found.st_mode) if is_own else None


def remembered_name(what: str, facts: Sequence[Any]) -> str:
    """*Pure.* The file of a value for `remember` that depends on facts whose `repr` tells them apart."""
    return f"{what}-{hashlib.blake2b(repr(facts).encode(), digest_size=12).hexdigest()}.json"


def remember(name: str, make: Callable[[], Any], is_whole: Callable[[Any], bool]) -> Any:
    """*Anywhere.* A JSON value that is made once on this machine and then kept in the cache folder.

    One process makes it while the others wait for it; the file appears under its name when it is whole. Where the
    folder cannot be written, the value is made and not kept.

    Args:
        name: of the file.
        make: gives the value, ready for JSON.
        is_whole: says whether a value that was found is one that `make` could have given; else it is made again.
    """
    import filelock

    made: list[Any] = []
    try:
        place = cache_folder() / name
        with filelock.FileLock(f"{place}.lock"):
            with suppress(FileNotFoundError, ValueError):
                if is_whole(found := json.loads(place.read_bytes())):
                    return found
            made.append(make())
            write_json(str(place), made[0])
    except OSError as error:
        log.warning("the cache folder cannot be used (%s); '%s' is not kept", error, name)
    return made[0] if made else make()


def fetched(file: FileInfo) -> str:
    """*Anywhere.* A local path with the content of a remote file, which is fetched once per node.

    The first process takes a lock and downloads, the others wait for it; the file appears under its name only when
    it is whole, and the name holds a hash of URI, size and stamp, so that a rewritten file is fetched again.

    Raises:
        OSError: it cannot be read, or there is no room.
    """
    import filelock

    key = hashlib.blake2b(repr(file).encode(), digest_size=12).hexdigest()
    place = cache_folder() / f"{key}-{name(file.uri)}"
    if place.exists():
        return str(place)
    with filelock.FileLock(f"{place}.lock"):
        if not place.exists():  # another process was not faster
            _fetch(file.uri, place)
    return str(place)


def _fetch(uri: str, place: Path) -> None:
    temporary = place.with_name(f"{place.name}.{os.getpid()}{TEMPORARY}")
    try:
        with open_read(uri) as source, open(temporary, "wb") as target:
            shutil.copyfileobj(source, target, CHUNK_BYTES)
        os.replace(temporary, place)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
