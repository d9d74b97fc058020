"""*Driver.* Keys of the pictures' metadata as columns: do they exist, of which types, under which names.

They are found out from a sample of the inputs: the first pictures of some parts, evenly spread. A key that no picture
of the sample has is refused; where a few others have it, their column `metadata` keeps it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from clip_spark.errors import SpecError, nearest
from clip_spark.pictures.find import PictureShard
from clip_spark.pictures.items import Picture
from clip_spark.pictures.plain_text import json_object, value_at
from clip_spark.pictures.records import COLUMNS, MetadataColumn
from clip_spark.pictures.sources import FileEntry
from clip_spark.pictures.table_rows import TablePart, picture_column

log = logging.getLogger(__name__)

SAMPLED_PARTS, SAMPLED_PICTURES = 8, 50
LOOKED_AT = 256
"""Tables that are opened before a column counts as nobody's."""
ADDRESSES = ("url", "URL", "image_url")
"""Columns of tables for where a picture came from; the first is the records' name of it."""


def metadata_columns(shards: Sequence[PictureShard], names: Sequence[str]) -> tuple[MetadataColumn, ...]:
    """*Driver.* The columns for some keys of the pictures' metadata.

    Raises:
        SpecError: pictures of the sample have keys, but not this one; it lists those that exist.
    """
    if not names:
        return ()
    rows = _sample(shards)
    keys = sorted({key for row in rows for key in row})
    values = {name: [value for row in rows if (value := value_at(row, name)) is not None] for name in names}
    if not keys:  # nothing is mistyped where nothing is there: one pipeline serves sets with and without metadata
        log.warning("--metadata-columns %s stay empty: no metadata lies beside these pictures", ", ".join(names))
    for name in names:
        if keys and not values[name] and name not in keys:
            raise SpecError(
                f"--metadata-columns: no picture has the key '{name}', of {len(rows):,} that were looked at; the keys "
                f"are {', '.join(keys)}.{nearest(name, keys)} What is rarer stays in the column metadata."
            )
    return tuple(MetadataColumn(name, column_name(name), common_type(values[name])) for name in names)


def address_column(shards: Sequence[PictureShard], taken: Sequence[MetadataColumn]) -> tuple[MetadataColumn, ...]:
    """*Driver.* The column `url` for tables that have one: it says where a row's picture came from, and is no identity.

    Args:
        shards: some of their tables are opened.
        taken: columns that the user asked for.
    """
    tables = _tables(shards)
    names = {name for part in islice(tables, 0, None, _step(tables)) for name in part.schema().names}
    key = next((key for key in ADDRESSES if key in names), None)
    if key is None or any(column.name == ADDRESSES[0] or column.key == key for column in taken):
        return ()
    return (MetadataColumn(key, ADDRESSES[0], "string"),)


def check_picture_column(shards: Sequence[PictureShard], wanted: str) -> None:
    """*Driver.* Refuse a column of pictures that no table has; the first that has it ends this.

    Raises:
        SpecError: there are tables, and none of those looked at has it; it lists their columns.
    """
    tables = _tables(shards) if wanted else []
    names: dict[str, None] = {}
    for part in islice(tables, 0, None, max(1, len(tables) // LOOKED_AT)):
        columns = part.schema()
        if picture_column(columns, wanted) is not None:
            return
        names |= dict.fromkeys(columns.names)
    if names:
        raise SpecError(
            f"--image-column: no table has a column '{wanted}', of {min(len(tables), LOOKED_AT):,} looked at; "
            f"there are {', '.join(names)}.{nearest(wanted, names)}"
        )


def _tables(shards: Sequence[PictureShard]) -> list[TablePart]:
    return [shard.part for shard in shards if isinstance(shard.part, TablePart)]


def column_name(key: str) -> str:
    """*Pure.* Under which name a key becomes a column: its own (`a_b` for `a.b`), or `own_caption` where records have a
    `caption`."""
    name = key.replace(".", "_")
    return f"own_{name}" if name in dict(COLUMNS) else name


def common_type(values: Iterable[Any]) -> str:
    """*Pure.* Arrow's name of the type that holds all values; what differs, or is nested, becomes text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int64"
    return "double" if kinds and kinds <= {int, float} else "string"


def _sample(shards: Sequence[PictureShard]) -> list[dict[str, Any]]:
    """The metadata of some pictures."""
    sampled = islice(shards, 0, None, _step(shards))
    pictures = (picture for shard in sampled for picture in islice(_pictures(shard), SAMPLED_PICTURES))
    return [json_object(picture.metadata or "") or {} for picture in pictures]


def _step(parts: Sequence[Any]) -> int:
    return max(1, len(parts) // SAMPLED_PARTS)


def _pictures(shard: PictureShard) -> Iterator[Picture]:
    for item in shard.part.read():
        found = item.load() if isinstance(item, FileEntry) else item
        if isinstance(found, Picture):
            yield found
