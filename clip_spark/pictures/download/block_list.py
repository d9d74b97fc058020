"""*Worker.* Hashes of files and pictures that must never be stored, and the hash that a file must have."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from clip_spark import storage
from clip_spark.errors import InputError
from clip_spark.pictures.download.pdq import BITS, as_numbers, distances
from clip_spark.pictures.download.statuses import BLOCKED_BY_LIST, HASH_DIFFERS, Failed

DIGESTS = {32: "md5", 40: "sha1", 64: "sha256"}
"""Hex digits -> the function."""
HEX = re.compile(r"[0-9a-f]+")


@lru_cache(maxsize=4)
def read_block_lists(uris: Sequence[str]) -> dict[str, frozenset[str]]:
    """*Anywhere.* Function -> digests of all lists; a list is read once in a process.

    Raises:
        InputError: a line is no digest.
    """
    found: dict[str, set[str]] = {}
    for digest, place in _lines(uris):
        found.setdefault(_function(digest, place), set()).add(digest)
    return {name: frozenset(digests) for name, digests in found.items()}


@lru_cache(maxsize=4)
def read_pdq_lists(uris: Sequence[str]) -> np.ndarray:
    """*Anywhere.* The PDQ hashes of all lists, as `distances` takes them; a list is read once in a process.

    A comma ends a hash: lists have its quality or other things behind it.

    Raises:
        InputError: a line is no hash.
    """
    found = []
    for text, place in _lines(uris):
        digest = text.partition(",")[0].strip()
        if len(digest) != BITS // 4 or not HEX.fullmatch(digest):
            raise InputError(f"{place}: '{digest[:80]}' is no PDQ hash of {BITS // 4} hex digits.")
        found.append(digest)
    return as_numbers(sorted(set(found)))


def _lines(uris: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What the lines of lists say without comments, and where."""
    for uri in uris:
        for number, line in enumerate(storage.read_text(uri).splitlines(), 1):
            if text := line.partition("#")[0].strip().lower():
                yield text, f"'{uri}', line {number}"


def _function(digest: str, place: str) -> str:
    if len(digest) not in DIGESTS or not HEX.fullmatch(digest):
        raise InputError(f"{place}: '{digest[:80]}' is no md5, sha1 or sha256 in hex.")
    return DIGESTS[len(digest)]


def check_not_blocked(data: bytes, lists: dict[str, frozenset[str]]) -> None:
    """*Worker.* Raise Failed for a file that a list names; the message does not say which list or digest."""
    if any(hashlib.new(name, data).hexdigest() in digests for name, digests in lists.items()):
        raise Failed(BLOCKED_BY_LIST, "the file is on a block list; nothing of it is kept")


def check_not_like(digest: str | None, listed: np.ndarray, most: int) -> None:
    """*Worker.* Raise Failed for a picture whose PDQ differs from a listed one in at most so many bits."""
    if digest is not None and len(listed) and distances(listed, digest).min() <= most:
        raise Failed(BLOCKED_BY_LIST, "the picture looks like one on a block list; nothing of it is kept")


def check_hash(data: bytes, wanted: str) -> None:
    """*Worker.* Raise Failed unless the file has the digest that its row gives; an empty one asks for nothing."""
    digest = wanted.strip().lower()
    if not digest:
        return
    name = DIGESTS.get(len(digest))
    if name is None or hashlib.new(name, data).hexdigest() != digest:
        raise Failed(HASH_DIFFERS, f"the row says {digest[:64]}, and the file differs")
