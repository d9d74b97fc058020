"""*Driver.* Before a commit: is every shard there, and does each folder hold exactly what receipts name?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from clip_spark import storage
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.shards import REJECTS
from clip_spark.errors import DatasetError


def check_complete(wanted: Sequence[int], receipts: list[Receipt]) -> None:
    """*Driver.* Raise DatasetError unless there is a receipt for each of these shards."""
    missing = sorted(set(wanted) - {receipt.shard for receipt in receipts})
    if missing:
        raise DatasetError(f"{len(missing)} of {len(wanted)} shards are missing, the first is {missing[0]}; run again.")


def check_files(output: str, receipts: list[Receipt]) -> None:
    """*Driver.* The folders that receipts name hold exactly the files that receipts name, with their sizes.

    Raises:
        DatasetError: one does not.
    """
    folders = {path.split("/", 1)[0] for receipt in receipts for path in receipt.files} | {REJECTS}

    def check(folder: str) -> str:
        wanted = {
            path: size for receipt in receipts for path, size in receipt.files.items() if path.startswith(folder + "/")
        }
        return _first_odd(wanted, storage.iter_files(storage.join(output, folder)), folder)

    with ThreadPoolExecutor(len(folders)) as pool:  # a store lists 1,000 files at a time, and each page takes its time
        for odd in filter(None, pool.map(check, sorted(folders))):
            raise DatasetError(
                f"'{storage.join(output, odd)}' is missing, cut short or not listed by any receipt; use --overwrite."
            )


def _first_odd(wanted: dict[str, int], found: Iterable[storage.FileInfo], folder: str) -> str:
    """*Pure.* A path that is not as wanted, or an empty string; empties `wanted`."""
    for file in found:
        path = f"{folder}/{storage.name(file.uri)}"
        if wanted.pop(path, None) != file.bytes:
            return path
    return next(iter(wanted), "")


def check_kept(uri: str, receipts: Sequence[Receipt]) -> None:
    """*Driver.* The files of shards that another generation wrote are still there, with their sizes.

    Raises:
        DatasetError: one is not; beside them may lie files of shards that were taken out.
    """
    wanted = {path: size for receipt in receipts for path, size in receipt.files.items()}

    def listed(folder: str) -> dict[str, int]:
        return {f"{folder}/{storage.name(file.uri)}": file.bytes for file in storage.iter_files(f"{uri}/{folder}")}

    folders = sorted({path.rpartition("/")[0] for path in wanted})
    with ThreadPoolExecutor(max(1, min(len(folders), 32))) as pool:
        for found in pool.map(listed, folders):
            for path, size in found.items():
                if wanted.get(path) == size:
                    del wanted[path]
    if wanted:
        raise DatasetError(
            f"'{storage.join(uri, next(iter(wanted)))}' of an earlier generation is missing or cut short; do all of it "
            "again with --overwrite."
        )
