"""*Anywhere.* What lies at a place that the user names: files to read, and others that are counted and left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from clip_spark import storage
from clip_spark.datasets.foreign_tables import live_files
from clip_spark.datasets.plan import PLAN
from clip_spark.errors import ClipSparkError, InputError
from clip_spark.storage import FileInfo
from clip_spark.texts.corpus import sniff
from clip_spark.texts.corpus.opening import look

READ_ENDINGS = (*sniff.NAMED, "")
"""What a file in a folder ends with to be read; files of other endings are read where they are named."""
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif", ".jxl", ".jp2", ".svg")
PLAN_KEYS = {"kind", "spec", "inputs", "shards"}
NO_DATA = "of a Delta table or a saved data set, and not among its rows"
LeftOut = Counter[tuple[str, str]]
"""(Ending, reason) -> files."""


@dataclass(frozen=True)
class Place:
    """The files of one place that are read, in order, and how many others it holds."""

    files: list[FileInfo]
    left_out: LeftOut


def list_place(uri: str, option: str) -> Place:
    """*Driver.* What a file, a folder or a glob holds for us.

    Raises:
        InputError: it is missing, or holds nothing that we read.
    """
    listed = sorted(storage.iter_files(uri, hidden=True), key=lambda file: file.uri)
    if not listed:
        what = "is an empty folder" if storage.exists(uri) else "does not exist"
        raise InputError(f"--{option} '{uri}' {what}; give a text file, a folder or a glob.")
    if [file.uri.rstrip("/") for file in listed] == [uri]:
        _check_named(listed[0], option)
        return Place(listed, Counter())
    left_out: LeftOut = Counter()
    live = live_files(listed, option)
    left_out.update((ending_of(file.uri), NO_DATA) for file in set(listed).difference(live))
    found = _without_datasets(live, left_out)
    in_folder = all(file.uri.startswith(uri + "/") for file in listed)
    files = [file for file in found if not (why := _why_not(file, uri, in_folder)) or _note(file, why, left_out)]
    if not files:
        raise InputError(_nothing(uri, option, len(listed), left_out))
    return Place(files, left_out)


def _note(file: FileInfo, why: str, left_out: LeftOut) -> bool:
    left_out[ending_of(file.uri), why] += 1
    return False


def ending_of(uri: str) -> str:
    """*Pure.* What a file's name ends with, without the ending of a compression; none for `part.0`."""
    ending = sniff.split_name(storage.name(uri))[1]
    return "" if ending[1:].isdigit() else ending


def _why_not(file: FileInfo, place: str, in_folder: bool) -> str:
    """*Pure.* Why a file is left out, or an empty text."""
    below = file.uri[len(place) :] if in_folder else "/" + storage.name(file.uri)
    if storage.is_hidden(below):
        return "hidden, or Spark's own"
    if file.stamp == storage.BROKEN_LINK:
        return "a link that leads nowhere"
    ending = ending_of(file.uri)
    if not in_folder or ending in READ_ENDINGS:
        return ""
    return "picture" if ending in PICTURES else "its ending says neither text nor table"


def _check_named(file: FileInfo, option: str) -> None:
    form = look(file.uri)
    if form is not None and form.format == sniff.FOREIGN:
        raise InputError(
            f"--{option} '{file.uri}' is {form.what}; save it as text, JSON lines, CSV or parquet, and give that."
        )


def _nothing(uri: str, option: str, files: int, left_out: LeftOut) -> str:
    listed = ", ".join(f"{ending or 'no ending'}: {n:,} ({why})" for (ending, why), n in left_out.most_common(8))
    known = " ".join(filter(None, READ_ENDINGS))
    return (
        f"--{option} '{uri}' holds {files:,} files, none of them {known} (or compressed); {listed}. "
        "A file of another name is read where it is named itself, or by a glob."
    )


def _without_datasets(files: Sequence[FileInfo], left_out: LeftOut) -> list[FileInfo]:
    """*Driver.* The files that do not lie in a dataset of ours: what an earlier run wrote below its own input."""
    ours = tuple(f"{folder}/" for folder in (_folder_of_plan(file.uri) for file in files) if folder)
    kept = [file for file in files if not file.uri.startswith(ours)]
    if len(kept) < len(files):
        left_out["", "a dataset of clip-spark"] += len(files) - len(kept)
    return kept


def _folder_of_plan(uri: str) -> str:
    if storage.name(uri) != PLAN:
        return ""
    try:
        found = storage.read_json(uri)
    except (ClipSparkError, OSError):
        return ""
    return uri.rpartition("/")[0] if isinstance(found, dict) and found.keys() >= PLAN_KEYS else ""
