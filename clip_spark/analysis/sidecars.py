"""*Worker.* `.knn` files beside pictures, as clip-grams writes them: one tag a line, best first."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

import pyarrow as pa

from clip_spark import storage
from clip_spark.pictures.formats import PICTURE_ENDINGS
from clip_spark.pictures.table_rows import ROW

MOST_NAME_BYTES = 255


def write_sidecars(tags: pa.Table) -> dict[str, int]:
    """*Worker.* Write the sidecar of each picture that is a local file.

    Args:
        tags: rows of TAGS, those of one picture side by side and best first.

    Returns:
        counters: sidecars written, those of them under a shortened name, and pictures that cannot have one (in a tar
        or parquet, not local).
    """
    counts: Counter[str] = Counter()
    rows = tags.select(["uri", "text"]).to_pylist()
    for uri, group in groupby(rows, key=itemgetter("uri")):
        lines = [" ".join(row["text"].split()) + "\n" for row in group]
        counts.update(_write(uri, "".join(lines)))
    return dict(counts)


def _write(uri: str, text: str) -> tuple[str, ...]:
    """Names of the counters that a picture belongs to."""
    if not storage.is_local(uri) or ROW in uri:
        return ("sidecars_skipped",)
    path = sidecar_path(storage.absolute(uri))
    fitting = shortened(path)
    storage.write_bytes(fitting, text.encode())
    return ("sidecars",) if fitting == path else ("sidecars", "sidecars_under_shortened_names")


def sidecar_path(picture: str) -> str:
    """*Worker.* `a/cat.knn` for `a/cat.png`; `a/cat.png.knn` where another picture in the folder has that stem.

    clip-grams writes both to `cat.knn`, and one is lost.
    """
    folder, base = os.path.split(picture)
    stem = os.path.splitext(base)[0]
    return os.path.join(folder, f"{base if _shared(folder)[stem] > 1 else stem}.knn")


def shortened(path: str) -> str:
    """*Pure.* The path, its name cut to what file systems take: `<beginning>~<8 hex digits of the name>.knn`."""
    folder, base = os.path.split(path)
    name = os.fsencode(base)
    if len(name) <= MOST_NAME_BYTES:
        return path
    end = f"~{hashlib.blake2b(name, digest_size=4).hexdigest()}.knn"
    beginning = name[: MOST_NAME_BYTES - len(end)].decode("utf-8", "ignore")  # no half of a character
    return os.path.join(folder, beginning + end)


@lru_cache(64)
def _shared(folder: str) -> Counter[str]:
    names = (os.path.splitext(entry.name) for entry in os.scandir(folder))
    return Counter(stem for stem, ending in names if ending.lower()[1:] in PICTURE_ENDINGS)
