"""*Pure.* Column names and Arrow schemas of everything that is written, and the ids of records."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import pyarrow as pa

from clip_spark.errors import SpecError, nearest

RECORD_ID = "record_id"
EMBEDDING = "embedding"

EMBEDDINGS = pa.schema([(RECORD_ID, pa.string()), (EMBEDDING, pa.list_(pa.float32()))])
"""float32, unit length, finite. Nothing else may live beside these two: embedding-reader reads every column."""

COUNTS = pa.schema([("n", pa.int32()), ("text", pa.string()), ("count", pa.int64())])

REJECTS = pa.schema([("source", pa.string()), ("reason", pa.string()), ("message", pa.string())])

TAGS = pa.schema(
    [
        ("image_id", pa.string()),
        ("uri", pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float32()),
        ("tag_id", pa.string()),
        ("text", pa.string()),
        ("n", pa.int32()),
    ]
)
"""One row per (image, tag), images in the order of their shard, tags best first; `n` is null for other texts."""


DUPLICATES = pa.schema(
    [
        (RECORD_ID, pa.string()),
        ("group", pa.string()),
        ("keep", pa.bool_()),
        ("cosine", pa.float32()),
        ("group_size", pa.int32()),
    ]
)
"""One row for each record that has a near-duplicate, in the order of the records; `group` is the id of the one that is
kept, and `cosine` that with it."""


def record_id(text_or_uri: str) -> str:
    """*Pure.* 32 hex digits (128 bits) of BLAKE2b; 64 bits would collide with a few per cent chance at 1e9 records."""
    return hashlib.blake2b(text_or_uri.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def own_name(name: str, reserved: Collection[str]) -> str:
    """*Pure.* What a user's column is called in records that need these names themselves: its own, or `input_<name>`.

    Names that differ only in the case of letters are one to DuckDB, which evaluates conditions.
    """
    return f"input_{name}" if name.casefold() in reserved else name


MOST_SHOWN = 80
"""Characters of a name that an error repeats."""


def check_columns(wanted: Sequence[str], columns: Sequence[str]) -> None:
    """*Pure.* Raise SpecError unless records with these columns have all that are wanted."""
    for name in wanted:
        if name not in columns:
            known = ", ".join(columns)
            name = name[:MOST_SHOWN]
            raise SpecError(f"The records have no column '{name}', only {known}.{nearest(name, columns)}")


def id_checksum(ids: list[str]) -> str:
    """*Pure.* 32 hex digits that depend on every id of a shard and their order."""
    return hashlib.blake2b("\n".join(ids).encode(), digest_size=16).hexdigest()
