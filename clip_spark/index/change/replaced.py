"""*Driver.* Which files of an index were replaced, by their sha256: copies of them elsewhere may hold what was removed.

<index>/parts/<generation>/replaced.json    {"sha256": [...]} of the files of all generations before, the latest last
"""

from __future__ import annotations

from contextlib import suppress

from clip_spark import storage
from clip_spark.datasets.commit import Head
from clip_spark.datasets.manifest import INDEX, Manifest
from clip_spark.index.files.cache_room import forget
from clip_spark.index.files.layout import FILES, IndexInfo, index_info
from clip_spark.storage.local_cache import cache_folder

REPLACED = "replaced.json"
MOST = 100_000
"""Names that are kept, in a file of 7 MB that only a proof of erasure reads; copies older than these are long gone."""


def names_replaced(head: Head, info: IndexInfo) -> list[str]:
    """*Driver.* What a new generation has to remember: the files of its predecessors that are not its own."""
    if head.manifest is None or head.manifest.kind != INDEX:
        return []
    names = dict.fromkeys([*read_replaced(head.manifest), *_hashes(index_info(head.manifest))])
    for name in _hashes(info):
        names.pop(name, None)
    return list(names)[-MOST:]


def read_replaced(manifest: Manifest) -> list[str]:
    """*Driver.* The same as its generation has written it; nothing in those of older versions."""
    path = manifest.locate(REPLACED)
    if path[len(manifest.uri) + 1 :] in manifest.beside:
        with suppress(FileNotFoundError):  # another generation is official by now, and this one deleted
            return list(storage.read_json(path)["sha256"])
    return []


def drop_copies(names: list[str]) -> None:
    """*Driver.* Delete this machine's copies of files, but those that a process has open."""
    folder = str(cache_folder())
    for name in names:
        forget(folder, name)


def _hashes(info: IndexInfo) -> list[str]:
    mine = [file.sha256 for what in FILES for file in getattr(info, what)]
    return [*mine, *_hashes(info.other.info)] if info.other is not None else mine
