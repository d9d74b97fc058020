"""*Worker.* Which file takes the tags of a picture, and what is in it then, by format."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from clip_spark import storage
from clip_spark.analysis.exported_tags import in_file, iptc
from clip_spark.analysis.exported_tags.edits import Edit, edit_of, read_or_none
from clip_spark.analysis.exported_tags.spec import BOORU, FULL, IPTC
from clip_spark.analysis.exported_tags.xmp import add_words
from clip_spark.errors import Rejected
from clip_spark.pictures.decode import MOST_BYTES
from clip_spark.pictures.formats import PICTURE_ENDINGS
from clip_spark.pictures.stored import is_web_address
from clip_spark.pictures.table_rows import ROW

GONE = "pictures that are gone"
INSIDE = "pictures inside of tars and tables, or on the web"


@dataclass(frozen=True)
class Place:
    """*Worker.* A format: where tags of a picture go, and how.

    Attributes:
        format: xmp, iptc or booru.
        in_file: into the picture.
        names: of sidecars.
    """

    format: str
    in_file: bool
    names: str

    def edit(self, uri: str, words: Sequence[str], counts: Counter[str]) -> Edit | None:
        """The change that gives a picture these tags; None for none, which is counted.

        Raises:
            Rejected: the file there cannot be changed without harm.
        """
        if not is_file(uri):
            counts[INSIDE] += 1
            return None
        picture = storage.absolute(uri)
        into_picture = self.in_file or self.format == IPTC
        path = picture if into_picture else self._beside(picture)
        path = os.path.realpath(path) if storage.is_local(path) else path  # a link would become a file
        before = _readable(path)
        if before is None and (into_picture or not storage.exists(picture)):
            counts[GONE] += 1
            return None
        found = edit_of(path, before, self._change(words, counts)(before or b""))
        counts["files that have these tags already"] += found is None
        return found

    def _change(self, words: Sequence[str], counts: Counter[str]) -> Callable[[bytes], bytes]:
        if self.format == BOORU:
            return partial(add_booru, words=words)
        if self.format == IPTC:
            short = [word for word in words if len(word.encode()) <= iptc.MOST_BYTES]
            counts[f"tags of more than {iptc.MOST_BYTES} bytes, left out"] += len(words) - len(short)
            return partial(in_file.change_iptc, change=partial(iptc.add_keywords, words=short))
        xmp = partial(add_words, words=words)
        return partial(in_file.change_xmp, change=xmp) if self.in_file else xmp

    def _beside(self, picture: str) -> str:
        """`cat.jpg.xmp`, or `cat.txt` unless another picture of the folder has that stem."""
        folder, _, base = picture.rpartition("/")
        stem, ending = os.path.splitext(base)[0], "txt" if self.format == BOORU else "xmp"
        full = (self.format != BOORU and self.names == FULL) or _stems(folder)[stem] > 1
        return f"{folder}/{base if full else stem}.{ending}"


def is_file(uri: str) -> bool:
    """*Pure.* Whether a picture is a file of its own, of a disk or a store."""
    return not (ROW in uri or is_web_address(uri) or ("::" in uri and not storage.is_local(uri)))


def _readable(path: str) -> bytes | None:
    """A file, if it can be held; None where there is none."""
    if storage.is_local(path) and os.path.exists(path) and os.path.getsize(path) > MOST_BYTES:
        raise Rejected("too many bytes", f"more than {MOST_BYTES:,}")
    return read_or_none(path)


@lru_cache(64)
def _stems(folder: str) -> Counter[str]:
    """How many pictures right in a folder have each name without its ending."""
    if storage.is_local(folder):
        names = [entry.name for entry in os.scandir(folder)] if os.path.isdir(folder) else []
    else:
        names = [storage.name(f.uri) for f in storage.iter_files(folder) if f.uri.rpartition("/")[0] == folder]
    found = (os.path.splitext(name) for name in names)
    return Counter(stem for stem, ending in found if ending.lower()[1:] in PICTURE_ENDINGS)


def add_booru(before: bytes, words: Sequence[str]) -> bytes:
    """*Pure.* Words with commas between them, behind those that are there; line breaks at the end stay there.

    Raises:
        Rejected: the file is no text in UTF-8.
    """
    try:
        text = before.decode()
    except UnicodeDecodeError as error:
        raise Rejected("text of another encoding", "only UTF-8 is changed") from error
    has = {" ".join(word.split()) for word in text.replace("\n", ",").split(",")}
    plain = (" ".join(word.replace(",", " ").split()) for word in words)
    new = [word for word in dict.fromkeys(plain) if word and word not in has]
    if not new:
        return before
    body = text.rstrip()
    end = text[len(body) :] if body else "\n"
    between = "" if not body else " " if body.endswith(",") else ", "
    return f"{body}{between}{', '.join(new)}{end}".encode()
