"""*Pure.* XMP and IPTC inside of JPEG and PNG files: one segment or chunk changes, every pixel stays as it is.

What a change would break is refused: content credentials (C2PA), which sign the bytes of a file, and files of several
pictures whose table (MPF) counts bytes across the place.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clip_spark.analysis.exported_tags import iptc
from clip_spark.errors import Rejected

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
XMP_HEADER, EXIF, MPF, C2PA = b"http://ns.adobe.com/xap/1.0/\0", b"Exif\0", b"MPF\0", b"c2pa"
APP0, APP1, APP2, APP11, APP13, SOS = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xDA
MOST_PAYLOAD = 65_533
XMP_CHUNK = b"XML:com.adobe.xmp\0"
MOST_XMP = 16 << 20
Change = Callable[[bytes], bytes]
"""Makes a packet of what was there; empty for none."""


def change_xmp(data: bytes, change: Change) -> bytes:
    """*Pure.* A picture file with another XMP packet; raises Rejected where that is not safe."""
    if data.startswith(JPEG):
        return _change_jpeg(data, APP1, XMP_HEADER, change, headed=False)
    if data.startswith(PNG):
        return _change_png(data, change)
    raise Rejected("no JPEG or PNG", "XMP goes into these only; sidecars stand beside any picture")


def change_iptc(data: bytes, change: Change) -> bytes:
    """*Pure.* A JPEG file with another APP13; raises Rejected where that is not safe."""
    if not data.startswith(JPEG):
        raise Rejected("no JPEG", "IPTC keywords go into JPEG files only")
    return _change_jpeg(data, APP13, iptc.HEADER, change, headed=True)


@dataclass(frozen=True)
class Segment:
    """One segment of a JPEG file: code, where it begins and ends, what is behind its length."""

    code: int
    start: int
    stop: int
    payload: bytes


def _segments(data: bytes) -> Iterator[Segment]:
    """Those before the picture itself."""
    at = 2
    while True:
        start = at
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if data[at : at + 1] != b"\xff" or at + 4 > len(data):
            raise Rejected("damaged JPEG", "its segments cannot be read")
        code, size = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if code == SOS:
            return
        stop = at + 2 + size
        if size < 2 or stop > len(data):
            raise Rejected("damaged JPEG", "a segment is cut short")
        yield Segment(code, start, stop, data[at + 4 : stop])
        at = stop


def _change_jpeg(data: bytes, code: int, header: bytes, change: Change, *, headed: bool) -> bytes:
    """
    Args:
        data: the file.
        code: of the segment.
        header: with which its payload begins.
        change: of the payload.
        headed: whether what is changed has the header too.
    """
    segments = list(_segments(data))
    if any(one.code == APP11 and C2PA in one.payload for one in segments):
        raise Rejected("signed", "its content credentials (C2PA) would not hold any more")
    mine = [one for one in segments if one.code == code and one.payload.startswith(header)]
    if len(mine) > 1:
        raise Rejected("several packets", "it holds more than one, and nobody knows which counts")
    start, stop = (mine[0].start, mine[0].stop) if mine else (_first_place(segments),) * 2
    if any(one.code == APP2 and one.payload.startswith(MPF) and one.start < start for one in segments):
        raise Rejected("several pictures", "its table of pictures (MPF) counts bytes across the place")
    before = mine[0].payload if mine else b""
    skipped = 0 if headed else len(header)
    after = change(before[skipped:])
    payload = after if headed else header + after
    if not after or payload == before:
        return data
    if len(payload) > MOST_PAYLOAD:
        raise Rejected("too long", f"the packet would have {len(payload):,} bytes; a JPEG holds {MOST_PAYLOAD:,}")
    return data[:start] + b"\xff" + bytes([code]) + struct.pack(">H", len(payload) + 2) + payload + data[stop:]


def _first_place(segments: list[Segment]) -> int:
    """Behind JFIF and Exif, which have to come first."""
    at = 2
    for one in segments:
        if one.code != APP0 and not (one.code == APP1 and one.payload.startswith((EXIF, XMP_HEADER))):
            break
        at = one.stop
    return at


def _change_png(data: bytes, change: Change) -> bytes:
    start = stop = 33  # behind the header
    before = b""
    for kind, at, end in _chunks(data):
        if kind == b"caBX":
            raise Rejected("signed", "its content credentials (C2PA) would not hold any more")
        if kind == b"iTXt" and data[at + 8 : at + 8 + len(XMP_CHUNK)] == XMP_CHUNK:
            start, stop, before = at, end, _text_of(data[at + 8 + len(XMP_CHUNK) : end - 4])
    after = change(before)
    if not after or after == before:
        return data
    body = b"iTXt" + XMP_CHUNK + b"\0\0\0\0" + after
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:start] + chunk + data[stop:]


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(Kind, start, stop) of each chunk."""
    at = len(PNG)
    while at < len(data):
        stop = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if stop > len(data) or (at == len(PNG) and kind != b"IHDR"):
            raise Rejected("damaged PNG", "a chunk is cut short")
        yield kind, at, stop
        if kind == b"IEND":
            return
        at = stop
    raise Rejected("damaged PNG", "it has no end")


def _text_of(rest: bytes) -> bytes:
    """The text of an iTXt chunk behind its keyword."""
    packed, _, text = rest[:1], rest[1:2], rest[2:].split(b"\0", 2)
    if len(text) != 3:
        raise Rejected("damaged PNG", "its XMP cannot be read")
    if packed != b"\1":
        return text[2]
    unpacker = zlib.decompressobj()
    try:
        found = unpacker.decompress(text[2], MOST_XMP)
    except zlib.error as error:
        raise Rejected("damaged PNG", "its XMP cannot be unpacked") from error
    if not unpacker.eof:
        raise Rejected("too long", "its XMP is longer than is read here")
    return found
