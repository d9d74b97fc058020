"""*Anywhere.* Folders in which other systems keep tables: Delta, Iceberg and Hugging Face; Hive columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from clip_spark import storage
from clip_spark.errors import ClipSparkError, InputError
from clip_spark.storage import FileInfo

DELTA = "/_delta_log/"
STATE, SHARDS, SPLITS = "state.json", "_data_files", "dataset_dict.json"
ICEBERG = re.compile(r"(.*)/metadata/[^/]*\.metadata\.json\Z")


def live_files(files: Sequence[FileInfo], option: str) -> list[FileInfo]:
    """*Driver.* Of Delta tables the files of their latest version, of `save_to_disk` its shards; Iceberg is refused."""
    for file in files:
        if found := ICEBERG.match(file.uri):
            raise InputError(f"--{option} '{found[1]}' is an Iceberg table; export it as parquet and give that.")
    roots = {file.uri.rpartition(DELTA)[0] for file in files if DELTA in file.uri}
    kept = list(files)
    for root in sorted(roots):
        live = _delta_files(root, option)
        kept = [file for file in kept if not file.uri.startswith(f"{root}/") or file.uri in live]
    return _without_states(kept, option)


def _without_states(files: Sequence[FileInfo], option: str) -> list[FileInfo]:
    """*Driver.* The files without what Hugging Face's `save_to_disk` and its cache write beside the shards."""
    shards: dict[str, frozenset[str]] = {}
    for file in files:
        if storage.name(file.uri) == STATE and (state := _state_of(file.uri)):
            folder = file.uri.rpartition("/")[0]
            if state.get("_indices_files"):
                raise InputError(
                    f"--{option} '{folder}' is a data set with a list of rows beside its shards; save it again after "
                    "`flatten_indices()`."
                )
            shards[folder] = frozenset(f"{folder}/{shard['filename']}" for shard in state[SHARDS])
    above = {f"{folder.rpartition('/')[0]}/{SPLITS}" for folder in shards}
    return [
        file
        for file in files
        if file.uri not in above and file.uri in shards.get(file.uri.rpartition("/")[0], {file.uri})
    ]


def _state_of(uri: str) -> dict[str, Any] | None:
    try:
        found = storage.read_json(uri)
    except (ClipSparkError, OSError, ValueError):
        return None
    listed = found.get(SHARDS) if isinstance(found, dict) else None
    named = isinstance(listed, list) and all(isinstance(one, dict) and "filename" in one for one in listed)
    return found if named else None


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
