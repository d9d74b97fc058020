"""*Worker.* Hashes of files and pictures that must never be stored, and the hash that a file must have."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np

from clip_spark import storage
from clip_spark.errors import InputError
from clip_spark.pictures.download.pdq import BITS, as_numbers, distances
from clip_spark.pictures.download.statuses import HASH_DIFFERS, Failed, blocked

DIGESTS = {32: "md5", 40: "sha1", 64: "sha256"}
"""Hex digits -> the function."""
HEX = re.compile(r"[0-9a-f]+")


FileLists = Mapping[str, Mapping[str, Collection[str]]]
"""Function -> list -> digests."""
PictureLists = Mapping[str, np.ndarray]
"""List -> PDQ hashes, as `distances` takes them."""


@lru_cache(maxsize=4)
def read_block_lists(uris: Sequence[str]) -> FileLists:
    """*Anywhere.* The digests of all lists; a list is read once in a process.

    Raises:
        InputError: a line is no digest.
    """
    found: dict[str, dict[str, set[str]]] = {}
    for uri in uris:
        for digest, place in _lines(uri):
            found.setdefault(_function(digest, place), {}).setdefault(uri, set()).add(digest)
    return found


@lru_cache(maxsize=4)
def read_pdq_lists(uris: Sequence[str]) -> PictureLists:
    """*Anywhere.* The PDQ hashes of all lists; a list is read once in a process.

    A comma ends a hash: lists have its quality or other things behind it.

    Raises:
        InputError: a line is no hash.
    """
    return {uri: as_numbers(sorted({_pdq(text, place) for text, place in _lines(uri)})) for uri in uris}


def _pdq(text: str, place: str) -> str:
    digest = text.partition(",")[0].strip()
    if len(digest) != BITS // 4 or not HEX.fullmatch(digest):
        raise InputError(f"{place}: '{digest[:80]}' is no PDQ hash of {BITS // 4} hex digits.")
    return digest


def _lines(uri: str) -> Iterator[tuple[str, str]]:
    """What the lines of a list say without comments, and where."""
    for number, line in enumerate(storage.read_text(uri).splitlines(), 1):
        if text := line.partition("#")[0].strip().lower():
            yield text, f"'{uri}', line {number}"


def _function(digest: str, place: str) -> str:
    if len(digest) not in DIGESTS or not HEX.fullmatch(digest):
        raise InputError(f"{place}: '{digest[:80]}' is no md5, sha1 or sha256 in hex.")
    return DIGESTS[len(digest)]


def check_not_blocked(data: bytes, lists: FileLists) -> None:
    """*Worker.* Raise Failed for a file that a list names."""
    for function, of_function in lists.items():
        digest = hashlib.new(function, data).hexdigest()
        for uri, digests in of_function.items():
            if digest in digests:
                raise blocked("the file is", uri)


def check_not_like(digest: str | None, lists: PictureLists, most: int) -> None:
    """*Worker.* Raise Failed for a picture whose PDQ differs from a listed one in at most so many bits."""
    for uri, listed in lists.items() if digest is not None else ():
        if len(listed) and distances(listed, str(digest)).min() <= most:
            raise blocked("the picture looks like one", uri)


def check_hash(data: bytes, wanted: str) -> None:
    """*Worker.* Raise Failed unless the file has the digest that its row gives; an empty one asks for nothing."""
    digest = wanted.strip().lower()
    if not digest:
        return
    name = DIGESTS.get(len(digest))
    if name is None or hashlib.new(name, data).hexdigest() != digest:
        raise Failed(HASH_DIFFERS, f"the row says {digest[:64]}, and the file differs")
