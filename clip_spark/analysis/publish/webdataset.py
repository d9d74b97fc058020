"""*Worker.* Tars as webdataset and img2dataset have them: `<key>.jpg`, `.txt`, `.json` and `.npy` of each record.

Keys are numbers of rows, so that an index that was published beside finds them; times and owners are left out, so that
the same publication has the same bytes.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from clip_spark.analysis.publish.contents import Contents
from clip_spark.analysis.publish.tags import TagsByPicture, as_json
from clip_spark.datasets.schema import RECORD_ID
from clip_spark.errors import InputError
from clip_spark.pictures.formats import picture_format
from clip_spark.pictures.stored import has_picture, read_picture
from clip_spark.runtime.ahead import map_ordered

BLOCK_ROWS = 256
THREADS, AHEAD = 8, 32
PLACES = ("uri", "offset", "size")
ENDINGS = {"JPEG": "jpg", "JPEG2000": "jp2", "TIFF": "tif", "HEIF": "heic"}
"""Of formats that are not called as their files end."""


def write_tar(stream: IO[bytes], contents: Contents, start: int, stop: int, tags: TagsByPicture | None) -> None:
    """*Worker.* The published rows `start` to `stop`; a picture that cannot be read, or is on the web, has no file."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for first in range(start, stop, BLOCK_ROWS):
            last = min(stop, first + BLOCK_ROWS)
            rows = contents.records(first, last).to_pylist()
            mine = tags.of([row[RECORD_ID] for row in rows]) if tags else [None] * len(rows)
            pictures = map_ordered(_picture, rows, THREADS, AHEAD)
            vectors = contents.vectors(first, last)
            for key, (row, words, picture, vector) in enumerate(zip(rows, mine, pictures, vectors, strict=True), first):
                for ending, data in _members(row, words, picture, vector):
                    _add(tar, f"{key:09d}.{ending}", data)


def _picture(record: Mapping[str, Any]) -> bytes:
    try:
        return read_picture(record) if has_picture(record) else b""
    except InputError:  # it is gone; its record says where it was
        return b""


def _members(
    row: dict[str, Any], tags: list[dict[str, Any]] | None, picture: bytes, vector: np.ndarray
) -> Iterator[tuple[str, bytes]]:
    if picture:
        kind = picture_format(picture) or "JPEG"
        yield ENDINGS.get(kind, kind.lower()), picture
    caption = row.get("caption") or row.get("text")
    if caption:
        yield "txt", str(caption).encode()
    yield "json", as_json(row if tags is None else {**row, "tags": tags})
    array = io.BytesIO()
    np.save(array, np.ascontiguousarray(vector, np.float32))
    yield "npy", array.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    tar.addfile(member, io.BytesIO(data))
