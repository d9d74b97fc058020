"""*Pure.* Sizes in bytes and numbers of things, as people write them; the one parser of each.

A size with a letter alone or with `iB` is binary (16G = 16GiB = 16 * 2**30), as Spark and Java read `16g`; with `B`
it is decimal (16GB = 16 * 10**9), as on the label of a disk. Numbers of things are decimal: 400M is 400 million.
"""

from __future__ import annotations

import re

from clip_spark.errors import SpecError

LETTERS = "KMGTP"
THOUSANDS = {"": 0, "K": 1, "M": 2, "G": 3, "B": 3, "T": 4}
"""B is a billion."""
_SIZE = re.compile(rf"(\d+(?:\.\d+)?)\s*(?:([{LETTERS}])(I?B)?|B)?")
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?(?:E\d)?)\s*([KMGBT]?)")


def size_bytes(option: str, text: str) -> int:
    """*Pure.* Bytes of `16G`, `512MiB`, `1.5GB` or a plain number.

    Raises:
        SpecError: `text` is nothing of the kind, or no byte at all.
    """
    found = _SIZE.fullmatch(text.strip().upper())
    letter, ending = (found[2] or "", found[3] or "") if found else ("", "")
    base = 1000 if ending == "B" else 1024
    size = int(float(found[1]) * base ** (LETTERS.find(letter) + 1 if letter else 0)) if found else 0
    if size < 1:
        raise SpecError(f"--{option} is '{text}'; give a size such as 512M or 16G (binary), or 16GB (decimal).")
    return size


def amount(option: str, text: str) -> int:
    """*Pure.* 400M or 1.5G as a number of things; raises SpecError for anything else."""
    found = _AMOUNT.fullmatch(text.strip().upper())
    if not found:
        raise SpecError(f"--{option} is '{text}'; give a number such as 400M or 1.5G.")
    return int(float(found[1]) * 1000 ** THOUSANDS[found[2]])


def human(size: float) -> str:
    """*Pure.* 1.6 TB; powers of ten."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} PB"
