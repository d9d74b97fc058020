"""*Driver.* verify-dataset: whether all of a publication, an index or another dataset is there."""

from __future__ import annotations

from clip_spark import storage
from clip_spark.analysis.publish import checksums
from clip_spark.analysis.publish.spec import VerifySpec
from clip_spark.datasets.check_files import check_kept
from clip_spark.datasets.manifest import INDEX, MANIFEST, read_manifest
from clip_spark.index.files.layout import index_info
from clip_spark.index.files.local_copy import verify_files


def verify_dataset(spec: VerifySpec) -> str:
    """*Driver.* What was looked at, in words.

    Raises:
        InputError: there is neither a publication nor a dataset.
        DatasetError: something is missing, or not what it was.
    """
    if not storage.exists(storage.join(spec.dataset, MANIFEST)):
        return f"{checksums.verify(spec.dataset):,} files have the bytes that were published"
    found = read_manifest(spec.dataset)
    check_kept(found.uri, found.receipts)
    if found.kind != INDEX:
        files = sum(len(one.files) for one in found.receipts)
        return f"{files:,} files of {found.rows:,} {found.kind} are there, whole by their sizes"
    info = index_info(found)
    verify_files(found.uri, info)
    return f"all files of an index of {info.rows:,} {info.modality}s have the bytes that its build wrote"
