"""*Server.* The picture of a record: its bytes from where the record says, and small versions of it, cached."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clip_spark import storage
from clip_spark.errors import Rejected
from clip_spark.pictures.decode import MOST_BYTES, open_picture
from clip_spark.pictures.sources import bytes_column
from clip_spark.web.errors import NotFound

if TYPE_CHECKING:
    from PIL.Image import Image

SIZES = (256, 512, 1024)
"""Longest sides that thumbnails come in; few, so that a visitor cannot fill the cache with every size there is."""
CACHE_BYTES = 128 << 20
SHOWN_AS_THEY_ARE = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
"""Formats that every browser shows; others are sent as PNG. SVG is none of them: it may hold scripts."""
ROW = "#row="


@dataclass(frozen=True)
class Media:
    """Bytes with their type."""

    data: bytes
    type: str


def has_picture(record: dict[str, Any]) -> bool:
    """*Pure.* Whether the server can show a picture of this record. It opens no web address: the browser may."""
    uri = str(record.get("uri") or "")
    return bool(uri) and not is_web_address(uri)


def is_web_address(uri: str) -> bool:
    """*Pure.* True for http and https."""
    return uri.lower().startswith(("http://", "https://"))


def read_picture(record: dict[str, Any]) -> bytes:
    """*Server.* The encoded bytes of a record's picture: a file, a tar member by offset and size, or a parquet row.

    Raises:
        NotFound: the record has no picture, or it is not where it was when the index was made.
    """
    if not has_picture(record):
        raise NotFound("This record has no picture that the server can open.")
    uri = str(record["uri"])
    try:
        if record.get("offset") is not None and "::" in uri:
            return _read_range(uri.split("::", 1)[1], int(record["offset"]), int(record["size"]))
        if ROW in uri:
            return _read_row(*uri.rsplit(ROW, 1))
        return storage.read_bytes(uri)
    except (OSError, KeyError, ValueError) as error:
        raise NotFound(f"The picture of this record cannot be read any more: '{uri}'.") from error


def _read_range(uri: str, offset: int, size: int) -> bytes:
    with storage.open_read(uri) as stream:
        stream.seek(offset)
        return stream.read(min(size, MOST_BYTES))


def _read_row(file_uri: str, row: str) -> bytes:
    import pyarrow.parquet as pq

    number = int(row)
    with storage.open_read(file_uri) as stream:
        file = pq.ParquetFile(stream)
        column = bytes_column(file.schema_arrow.names)
        for group in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if number < rows and column is not None:
                value = file.read_row_group(group, columns=[column]).column(0)[number].as_py()
                return bytes(value["bytes"] if isinstance(value, dict) else value)
            number -= rows
    raise KeyError(row)


def original(data: bytes) -> Media:
    """*Server.* A picture in full size, in a format that browsers show; raises Rejected for anything else."""
    image = open_picture(data)
    if image.format in SHOWN_AS_THEY_ARE:
        return Media(data, SHOWN_AS_THEY_ARE[image.format])
    return _encoded(image, "PNG")


def thumbnail(data: bytes, size: int) -> Media:
    """*Server.* A picture whose longer side is at most `size` pixels, the right way up; a small one as it is."""
    image = open_picture(data)
    if max(image.size) <= size and image.format in SHOWN_AS_THEY_ARE:
        return Media(data, SHOWN_AS_THEY_ARE[image.format])
    return _encoded(_upright(image, size), "WEBP", quality=82)


def jpeg(data: bytes, size: int) -> bytes:
    """*Server.* The same as JPEG on white, which is what clip-retrieval's clients expect."""
    from PIL import Image

    image = _upright(open_picture(data), size).convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return _encoded(flat, "JPEG", quality=85).data


def _upright(image: Image, size: int) -> Image:
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.mode not in ("RGB", "RGBA", "L"):
        turned = turned.convert("RGBA")
    turned.thumbnail((size, size))
    return turned


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
