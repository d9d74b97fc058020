"""*Worker.* Pictures with their text and metadata as a webdataset tar: `<record id>.jpg`, `.txt`, `.json`."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from typing import IO, Any

from clip_spark.pictures.download.outcomes import Outcome
from clip_spark.pictures.plain_text import to_json


def open_tar(stream: IO[bytes]) -> tarfile.TarFile:
    """*Worker.* A tar to be written to a stream from its start to its end; a context manager."""
    return tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT)


def add_sample(tar: tarfile.TarFile, outcome: Outcome, metadata: Mapping[str, Any], caption: str | None) -> None:
    """*Worker.* One picture, under the record id that its metadata names; the same samples give the same bytes."""
    key = metadata["record_id"]
    _add(tar, f"{key}.{outcome.ending}", outcome.data)
    if caption:
        _add(tar, f"{key}.txt", caption.encode("utf-8", "replace"))
    _add(tar, f"{key}.json", to_json(dict(metadata)).encode("utf-8", "replace"))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
