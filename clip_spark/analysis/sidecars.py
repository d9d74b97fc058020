"""*Worker.* `.knn` files beside pictures, as clip-grams writes them: one tag a line, best first."""

from __future__ import annotations

import errno
import os
from collections import Counter
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

import pyarrow as pa

from clip_spark import storage
from clip_spark.pictures.formats import PICTURE_ENDINGS
from clip_spark.pictures.table_rows import ROW


def write_sidecars(tags: pa.Table) -> dict[str, int]:
    """*Worker.* Write the sidecar of each picture that is a local file.

    Args:
        tags: rows of TAGS, those of one picture side by side and best first.

    Returns:
        counters: sidecars written, and pictures that cannot have one (in a tar or parquet, not local, too long a name).
    """
    counts: Counter[str] = Counter()
    rows = tags.select(["uri", "text"]).to_pylist()
    for uri, group in groupby(rows, key=itemgetter("uri")):
        lines = [" ".join(row["text"].split()) + "\n" for row in group]
        counts["sidecars" if _write(uri, "".join(lines)) else "sidecars_skipped"] += 1
    return dict(counts)


def _write(uri: str, text: str) -> bool:
    """False where the picture cannot have a sidecar."""
    if not storage.is_local(uri) or ROW in uri:
        return False
    try:
        storage.write_bytes(sidecar_path(storage.absolute(uri)), text.encode())
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False
    return True


def sidecar_path(picture: str) -> str:
    """*Worker.* `a/cat.knn` for `a/cat.png`; `a/cat.png.knn` where another picture in the folder has that stem.

    clip-grams writes both to `cat.knn`, and one is lost.
    """
    folder, base = os.path.split(picture)
    stem = os.path.splitext(base)[0]
    return os.path.join(folder, f"{base if _shared(folder)[stem] > 1 else stem}.knn")


@lru_cache(64)
def _shared(folder: str) -> Counter[str]:
    names = (os.path.splitext(entry.name) for entry in os.scandir(folder))
    return Counter(stem for stem, ending in names if ending.lower()[1:] in PICTURE_ENDINGS)
