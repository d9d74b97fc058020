"""*Worker.* What comes out of a source: a picture, what could not be read, or what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clip_spark import storage
from clip_spark.errors import StorageError
from clip_spark.pictures.plain_text import json_object, to_json

NO_JSON = "with metadata that is no JSON object"
LEFT_OUT = "left out: "
"""Counters of receipts begin so; after it come an ending and a reason."""


@dataclass(frozen=True)
class Picture:
    """The bytes of one picture and what travels with it.

    Attributes:
        uri: where it can be opened; its record's identity.
        data: the encoded bytes.
        caption: its text, if it has one.
        metadata: JSON object as text, if it has one.
        offset: first byte inside the tar `uri` names; None for other sources.
        notices: what was odd about it; counted.
        record_id: that it has already, from a dataset of ours; empty makes one of its URI.
    """

    uri: str
    data: bytes
    caption: str | None = None
    metadata: str | None = None
    offset: int | None = None
    notices: tuple[str, ...] = ()
    record_id: str = ""


@dataclass(frozen=True)
class Unreadable:
    """A picture, or a rest of a source, that could not be read: a reject."""

    uri: str
    reason: str
    message: str


def unreachable(uri: str, link: str, error: StorageError) -> Unreadable:
    """*Pure.* The reject of a picture whose link does not answer.

    Args:
        uri: of the picture.
        link: what was opened for it.
        error: what came of it; raised where `link` is in a store: that it is down is not the fault of one file.
    """
    if not storage.is_web(link):
        raise error
    return Unreadable(uri, "unreachable", str(error))


@dataclass(frozen=True)
class LeftOut:
    """A file, or a member of an archive, that is no picture and belongs to none."""

    ending: str
    reason: str

    @property
    def counter(self) -> str:
        """Its name among a receipt's counters."""
        return f"{LEFT_OUT}{self.ending or 'no ending'}: {self.reason}"


Item = Picture | Unreadable | LeftOut


def with_texts(picture: Picture, caption: str | None, metadata: str | None) -> Picture:
    """*Pure.* A picture with the texts that lie beside it; without a caption of its own it takes its metadata's."""
    found = json_object(metadata) if metadata else None
    notices = (*picture.notices, NO_JSON) if metadata and found is None else picture.notices
    return Picture(
        picture.uri,
        picture.data,
        (caption or "").strip() or caption_of(found or {}),
        to_json(found) if found else None,
        picture.offset,
        notices,
        picture.record_id,
    )


def caption_of(metadata: Mapping[str, Any]) -> str | None:
    """*Pure.* The caption that img2dataset, datasets and others keep among the metadata."""
    found = (metadata.get(name) for name in ("caption", "text"))
    return next((value.strip() for value in found if isinstance(value, str) and value.strip()), None)


def left_out_rows(counters: Mapping[str, float]) -> list[dict[str, Any]]:
    """*Pure.* The counters of what was left out as rows: ending, reason, files; most first."""
    found = Counter({name.removeprefix(LEFT_OUT): int(n) for name, n in counters.items() if name.startswith(LEFT_OUT)})
    parts = ((*name.partition(": ")[::2], number) for name, number in found.most_common())
    return [{"ending": ending, "reason": reason, "files": number} for ending, reason, number in parts]
