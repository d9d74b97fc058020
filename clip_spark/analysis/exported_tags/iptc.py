"""*Pure.* Keywords of IPTC (IIM, 2:25) inside Photoshop's resources, as JPEG files have them in APP13."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from clip_spark.errors import Rejected

HEADER, SIGN = b"Photoshop 3.0\0", b"8BIM"
IIM, DIGEST = 0x0404, 0x0425
CHARSET, KEYWORD = (1, 90), (2, 25)
UTF8 = b"\x1b%G"
MOST_BYTES = 64
"""Of a keyword, as the standard has it."""


@dataclass(frozen=True)
class Resource:
    """One resource of Photoshop's: number, the bytes of its name (padded), data."""

    number: int
    name: bytes
    data: bytes

    def to_bytes(self) -> bytes:
        """*Pure.* As it stands in a file."""
        head = SIGN + struct.pack(">H", self.number) + self.name + struct.pack(">I", len(self.data))
        return head + self.data + b"\0" * (len(self.data) % 2)


Dataset = tuple[tuple[int, int], bytes]
"""(record, number), value."""


def add_keywords(before: bytes, words: Sequence[str]) -> bytes:
    """*Pure.* The payload of APP13 with these keywords behind those that it has; the same bytes if it has all.

    Args:
        before: the payload, from `Photoshop 3.0` on; empty makes a new one.
        words: each at most MOST_BYTES long in UTF-8.

    Raises:
        Rejected: it is damaged, or its keywords are in an alphabet that it does not name.
    """
    resources = _resources(before)
    old = next((one for one in resources if one.number == IIM), None)
    new = _with_keywords(old.data if old else b"", words)
    if old is not None and new == old.data or not new:
        return before
    digest = hashlib.md5(old.data).digest() if old else b""
    known = [one.data for one in resources if one.number == DIGEST] == [digest]
    found = [_changed(one, new, known) for one in resources]
    found += [] if old else [Resource(IIM, b"\0\0", new)]
    return HEADER + b"".join(one.to_bytes() for one in found)


def _changed(one: Resource, new: bytes, known: bool) -> Resource:
    if one.number == IIM:
        return Resource(IIM, one.name, new)
    if one.number == DIGEST and known:  # else readers take the IPTC for older than the XMP
        return Resource(DIGEST, one.name, hashlib.md5(new).digest())
    return one


def _resources(payload: bytes) -> list[Resource]:
    found, at = [], len(HEADER)
    while at < len(payload):
        if payload[at : at + 4] != SIGN or at + 12 > len(payload):
            raise Rejected("damaged IPTC", "what stands beside it cannot be read")
        number, length = struct.unpack(">H", payload[at + 4 : at + 6])[0], payload[at + 6]
        name_end = at + 7 + length + (length + 1) % 2
        size = int.from_bytes(payload[name_end : name_end + 4], "big")
        data = payload[name_end + 4 : name_end + 4 + size]
        if len(data) != size:
            raise Rejected("damaged IPTC", "a resource is cut short")
        found.append(Resource(number, payload[at + 6 : name_end], data))
        at = name_end + 4 + size + size % 2
    if found and b"".join(one.to_bytes() for one in found) != payload[len(HEADER) :]:
        raise Rejected("damaged IPTC", "it would not be the same when written again")
    return found


def _with_keywords(before: bytes, words: Sequence[str]) -> bytes:
    """Datasets of IIM with more keywords, behind the last keyword, or where the second record ends."""
    datasets = _datasets(before)
    has = {value for key, value in datasets if key == KEYWORD}
    new = [word for word in dict.fromkeys(each.encode() for each in words) if word and word not in has]
    if not new:
        return before
    if not all(map(bytes.isascii, new)):
        datasets = _in_utf8(datasets)
    last = max((i for i, (key, _) in enumerate(datasets) if key <= KEYWORD), default=-1) + 1
    last = max((i + 1 for i, (key, _) in enumerate(datasets) if key == KEYWORD), default=last)
    datasets[last:last] = [(KEYWORD, word) for word in new]
    return b"".join(_bytes_of(*one) for one in datasets)


def _in_utf8(datasets: list[Dataset]) -> list[Dataset]:
    """The same, saying that its texts are UTF-8: true of ASCII, and of what says so already."""
    charset = next((value for key, value in datasets if key == CHARSET), None)
    if charset == UTF8:
        return datasets
    if charset is not None or not all(value.isascii() for key, value in datasets if key[0] == 2 and key != (2, 0)):
        raise Rejected("IPTC of another encoding", "its texts are not marked as UTF-8, and new ones would be")
    return [(CHARSET, UTF8), *datasets]


def _datasets(data: bytes) -> list[Dataset]:
    found, at = [], 0
    while at < len(data):
        if data[at] != 0x1C or at + 5 > len(data):
            raise Rejected("damaged IPTC", "its keywords cannot be read")
        size = struct.unpack(">H", data[at + 3 : at + 5])[0]
        value = data[at + 5 : at + 5 + size]
        if size > 0x7FFF or len(value) != size:
            raise Rejected("damaged IPTC", "a value is cut short, or longer than is read here")
        found.append(((data[at + 1], data[at + 2]), value))
        at += 5 + size
    return found


def _bytes_of(key: tuple[int, int], value: bytes) -> bytes:
    return bytes([0x1C, *key]) + struct.pack(">H", len(value)) + value
