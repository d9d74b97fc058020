"""*Anywhere.* Folders in which other systems keep tables: Delta and Iceberg, and columns that folders name (Hive)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from clip_spark import storage
from clip_spark.errors import InputError
from clip_spark.storage import FileInfo

DELTA = "/_delta_log/"
ICEBERG = re.compile(r"(.*)/metadata/[^/]*\.metadata\.json\Z")


def live_files(files: Sequence[FileInfo], option: str) -> list[FileInfo]:
    """*Driver.* Of Delta tables the files of their latest version; Iceberg is refused."""
    for file in files:
        if found := ICEBERG.match(file.uri):
            raise InputError(f"--{option} '{found[1]}' is an Iceberg table; export it as parquet and give that.")
    roots = {file.uri.rpartition(DELTA)[0] for file in files if DELTA in file.uri}
    kept = list(files)
    for root in sorted(roots):
        live = _delta_files(root, option)
        kept = [file for file in kept if not file.uri.startswith(f"{root}/") or file.uri in live]
    return kept


def _delta_files(root: str, option: str) -> frozenset[str]:
    """*Driver.* The data files of a Delta table's latest version."""
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError as error:
        raise InputError(
            f"--{option} '{root}' is a Delta table; its files hold rows of older versions too. "
            "`pip install 'clip-spark[delta]'` reads it as what it is."
        ) from error
    try:
        table = DeltaTable(root)
        features = set(table.protocol().reader_features or ())
        files = table.file_uris()
    except (DeltaError, OSError) as error:
        raise InputError(f"--{option} '{root}' is a Delta table that cannot be read: {error}.") from error
    if unknown := features & {"deletionVectors", "columnMapping"}:
        raise InputError(
            f"--{option} '{root}' is a Delta table with {', '.join(sorted(unknown))}; export it as parquet."
        )
    return frozenset(map(storage.absolute, files))


def partitions(relative: str) -> dict[str, str | None]:
    """*Pure.* The columns that a file's folders name: `lang=en/a.parquet` is {"lang": "en"} (Hive, Spark, pandas)."""
    found: dict[str, str | None] = {}
    for folder in relative.split("/")[:-1]:
        name, equals, value = folder.partition("=")
        if equals and name:
            found[unquote(name)] = None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
    return found
