"""*Anywhere.* The checksums of a publication: written last, so what has none is not whole; for `sha256sum -c`."""

from __future__ import annotations

import re

from clip_spark import storage
from clip_spark.errors import DatasetError, InputError

CHECKSUMS = "checksums.sha256"
LINE = re.compile(r"([0-9a-f]{64})  (.+)\Z")
EXAMPLES = 3


def write_checksums(folder: str, found: dict[str, str]) -> None:
    """*Driver.* The last file of a publication."""
    text = "".join(f"{digest}  {path}\n" for path, digest in sorted(found.items()))
    storage.write_bytes(storage.join(folder, CHECKSUMS), text.encode())


def read_checksums(folder: str) -> dict[str, str]:
    """*Anywhere.* Path -> sha256; raises InputError where there are none, DatasetError where they are damaged."""
    place = storage.join(folder, CHECKSUMS)
    if not storage.exists(place):
        raise InputError(f"'{folder}' has no {CHECKSUMS}: it is no publication, or one that is not whole yet.")
    found = [LINE.match(line) for line in storage.read_bytes(place).decode("utf-8", "replace").splitlines()]
    if not found or not all(found):
        raise DatasetError(f"'{place}' is damaged; fetch it again.")
    return {match[2]: match[1] for match in found if match}


def verify(folder: str) -> int:
    """*Anywhere.* Read all files of a publication; returns how many there are.

    Raises:
        DatasetError: files are missing or have other bytes.
    """
    wrong, listed = [], read_checksums(folder)
    for path, digest in listed.items():
        try:
            same = storage.sha256_of(storage.join(folder, path)) == digest
        except FileNotFoundError:
            wrong.append(f"'{path}' is missing")
            continue
        if not same:
            wrong.append(f"'{path}' has other bytes")
    if wrong:
        more = f" and {len(wrong) - EXAMPLES:,} more" if len(wrong) > EXAMPLES else ""
        raise DatasetError(f"'{folder}' is no true copy: {', '.join(wrong[:EXAMPLES])}{more}; fetch it again.")
    return len(listed)
