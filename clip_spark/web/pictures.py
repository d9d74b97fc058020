"""*Server.* The picture of a record: its bytes from where the record says, and small versions of it, cached."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clip_spark.errors import InputError, Rejected
from clip_spark.pictures import stored
from clip_spark.pictures.decode import decode
from clip_spark.pictures.look import AS_STORED, OPEN_CLIP, Look
from clip_spark.web.errors import NotFound

if TYPE_CHECKING:
    from PIL.Image import Image

SIZES = (256, 512, 1024)
"""Longest sides that thumbnails come in; few, so that a visitor cannot fill the cache with every size there is."""
CACHE_BYTES = 128 << 20
SHOWN_AS_THEY_ARE = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
"""Formats that every browser shows; others are sent as PNG. SVG is none of them: it may hold scripts."""
SHOWN = Look("apply", OPEN_CLIP)
"""Upright, and as transparent as it is: the page lies below."""


@dataclass(frozen=True)
class Media:
    """Bytes with their type."""

    data: bytes
    type: str


def read_picture(record: dict[str, Any]) -> bytes:
    """*Server.* The encoded bytes of a record's picture; raises NotFound."""
    try:
        return stored.read_picture(record)
    except InputError as error:
        raise NotFound(str(error)) from error


def original(data: bytes) -> Media:
    """*Server.* A picture in full size, in a format that browsers show; raises Rejected for anything else."""
    found = decode(data, AS_STORED)
    if found.format in SHOWN_AS_THEY_ARE:
        return Media(data, SHOWN_AS_THEY_ARE[found.format])
    return _encoded(found.image, "PNG")


def thumbnail(data: bytes, size: int) -> Media:
    """*Server.* A picture whose longer side is at most `size` pixels, the right way up; a small one as it is."""
    found = decode(data, SHOWN)
    if max(found.size) <= size and found.format in SHOWN_AS_THEY_ARE:
        return Media(data, SHOWN_AS_THEY_ARE[found.format])
    return _encoded(_small(found.image, size), "WEBP", quality=82)


def jpeg(data: bytes, size: int) -> bytes:
    """*Server.* The same as JPEG on white, which is what clip-retrieval's clients expect."""
    image = _small(decode(data, Look("apply", "white")).image, size)
    return _encoded(image.convert("RGB"), "JPEG", quality=85).data


def _small(image: Image, size: int) -> Image:
    shown = image if image.mode in ("RGB", "RGBA", "L") else image.convert("RGBA")
    shown.thumbnail((size, size))
    return shown


def _encoded(image: Image, format: str, **options: Any) -> Media:
    out = io.BytesIO()
    try:
        image.save(out, format, **options)
    except (OSError, ValueError) as error:
        raise Rejected("unusual mode", f"{image.mode} pictures cannot be shown ({error})") from error
    return Media(out.getvalue(), f"image/{format.lower()}")


class PictureCache:
    """The latest thumbnails up to a number of bytes; safe to use from many threads."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._kept: OrderedDict[Any, Media] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any, make: Callable[[], Media]) -> Media:
        """What is kept under `key`, else what `make` returns; two requests at once may both make it."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        media = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = media
                self._bytes += len(media.data)
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1].data)
        return media
