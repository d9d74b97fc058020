"""*Driver.* Keys of the pictures' metadata as columns: do they exist, of which types, under which names.

They are found out from a sample of the inputs: the first pictures of some parts, evenly spread.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from clip_spark.errors import SpecError, nearest
from clip_spark.pictures.find import PictureShard
from clip_spark.pictures.items import Picture
from clip_spark.pictures.plain_text import json_object
from clip_spark.pictures.records import COLUMNS, MetadataColumn
from clip_spark.pictures.sources import FileEntry

log = logging.getLogger(__name__)

SAMPLED_PARTS, SAMPLED_PICTURES = 8, 50


def metadata_columns(shards: Sequence[PictureShard], names: Sequence[str]) -> tuple[MetadataColumn, ...]:
    """*Driver.* The columns for some keys of the pictures' metadata.

    Raises:
        SpecError: pictures of the sample have keys, but not this one; it lists those that exist.
    """
    if not names:
        return ()
    values = _sample(shards)
    if not values:  # nothing is mistyped where nothing is there: one pipeline serves sets with and without metadata
        log.warning("--metadata-columns %s stay empty: no metadata lies beside these pictures", ", ".join(names))
    for name in names:
        if values and name not in values:
            known = ", ".join(sorted(values))
            raise SpecError(
                f"--metadata-columns: no picture has the key '{name}'; the keys are {known}.{nearest(name, values)}"
            )
    return tuple(MetadataColumn(name, column_name(name), common_type(values.get(name, ()))) for name in names)


def column_name(key: str) -> str:
    """*Pure.* Under which name a key becomes a column: its own, or `own_caption` where records have a `caption`."""
    return f"own_{key}" if key in dict(COLUMNS) else key


def common_type(values: Iterable[Any]) -> str:
    """*Pure.* Arrow's name of the type that holds all values; what differs, or is nested, becomes text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int64"
    return "double" if kinds and kinds <= {int, float} else "string"


def _sample(shards: Sequence[PictureShard]) -> dict[str, list[Any]]:
    """Key -> its values in the metadata of some pictures."""
    step = max(1, len(shards) // SAMPLED_PARTS)
    found: dict[str, list[Any]] = defaultdict(list)
    for shard in islice(shards, 0, None, step):
        for picture in islice(_pictures(shard), SAMPLED_PICTURES):
            for key, value in (json_object(picture.metadata or "") or {}).items():
                found[key].append(value)
    return found


def _pictures(shard: PictureShard) -> Iterator[Picture]:
    for item in shard.part.read():
        found = item.load() if isinstance(item, FileEntry) else item
        if isinstance(found, Picture):
            yield found
