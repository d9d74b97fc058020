"""*Driver.* Text steps whose result depends on all of their input at once: where that has grown, all is made again.

Counts that were cut cannot be added to: an n-gram that was dropped for being seen once may be seen once more in the new
text, and nothing tells which. Records are rid of duplicates over all files. So the saving is that nothing is lost,
asked or typed; the result is that of a first run, to the byte.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from clip_spark.datasets.growth import changes_since
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.sources import NO_SHARD, Changes, names_of, sources_table
from clip_spark.errors import OutputError
from clip_spark.texts.corpus import CorpusFile
from clip_spark.texts.corpus.account import printable


def sources_of(files: Sequence[CorpusFile]) -> pa.Table:
    """*Pure.* The files with their stamps, as a dataset that is made of all of them remembers them (sources.SCHEMA)."""
    stamps = [f"{file.bytes}:{file.stamp}" for file in files]
    return sources_table([printable(file.relative) for file in files], stamps, [NO_SHARD] * len(files))


def all_again(now: pa.Table, option: str, prune: bool, before: Manifest | None, finished: object) -> None:
    """*Driver.* Let a dataset be made again as a whole, unless files would be lost by that: it has to be asked for.

    Args:
        now: the present files (sources.SCHEMA).
        option: name of the option that gives the input.
        prune: whether --prune was given.
        before: what is official; None if that was never finished: then nothing can be lost.
        finished: no shard of another run can be used.

    Raises:
        OutputError: files are gone and `prune` was not given, or it is another input.
    """
    if before is None:
        return
    old, changes = changes_since(before, now, option)
    check_none_gone(before, old, changes, option, prune)


def check_none_gone(before: Manifest, old: pa.Table, changes: Changes, option: str, prune: bool) -> None:
    """*Driver.* Raise OutputError if files are gone that only the dataset remembers, unless --prune lets them go."""
    if len(changes.vanished) and not prune:
        raise OutputError(
            f"{len(changes.vanished):,} files of --{option} are gone since '{before.uri}' was made, such as "
            f"{names_of(old, changes.vanished)}; --prune makes it again of what is there now, without them."
        )
