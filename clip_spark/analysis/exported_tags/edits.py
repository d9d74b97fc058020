"""*Worker.* Changes of single files that can be undone: each is noted, whole and for good, before it is made.

<output>/journal/00000.parquet   what the tasks of one shard will change, created once; never written again
<output>/done/00000.json         counts, when all of it has been tried
<output>/undone.json             undo has begun: nothing is changed any more

A change is told by the hashes of the file before and after, so it is made once, undone once, and neither happens to a
file that somebody has changed meanwhile.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.receipt import shard_name

JOURNAL, DONE, UNDONE = "journal", "done", "undone.json"
EDITS = pa.schema(
    [
        ("path", pa.string()),
        ("existed", pa.bool_()),
        ("start", pa.int64()),
        ("before", pa.large_binary()),
        ("after", pa.large_binary()),
        ("sha_before", pa.string()),
        ("sha_after", pa.string()),
        ("mode", pa.int32()),
        ("changed_ns", pa.int64()),
    ]
)
MADE, THERE, MEANWHILE, STOPPED = "files written", "files written before", "changed meanwhile", "undo has begun"
RESTORED, AS_BEFORE, SINCE = "files given back", "files as they were", "changed since"


@dataclass(frozen=True)
class Edit:
    """One file: from byte `start` on, `before` becomes `after`; the rest stays.

    Attributes:
        existed: whether there was a file.
        sha_before: hex digits of the whole file; empty where there was none.
        mode: permissions of a local file, and
        changed_ns: when it was changed last, which undo gives back; 0 elsewhere.
    """

    path: str
    existed: bool
    start: int
    before: bytes
    after: bytes
    sha_before: str
    sha_after: str
    mode: int = 0
    changed_ns: int = 0


def edit_of(path: str, before: bytes | None, after: bytes) -> Edit | None:
    """*Worker.* The change from one content to another, cut to where they differ; None where they are the same."""
    old = before or b""
    if before is not None and old == after:
        return None
    start = _same(old, after)
    most = min(len(old), len(after)) - start
    same = _same(old[::-1][:most], after[::-1][:most])
    mode, changed = marks_of(path) if before is not None else (0, 0)
    middle = (old[start : len(old) - same], after[start : len(after) - same])
    return Edit(path, before is not None, start, *middle, _sha(before), _sha(after), mode, changed)


def _same(one: bytes, other: bytes) -> int:
    """*Pure.* How many bytes two files have in common at their beginning; by halves: a loop over megabytes is slow."""
    least, most = 0, min(len(one), len(other))
    while least < most:
        middle = (least + most + 1) // 2
        if one[least:middle] == other[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least


def read_or_none(path: str) -> bytes | None:
    """*Worker.* A whole file, or None where there is none."""
    try:
        return storage.read_bytes(path)
    except FileNotFoundError:
        return None


def note(output: str, shard: int, edits: list[Edit]) -> list[Edit]:
    """*Worker.* Write the journal of a shard unless there is one; returns what it says: another task was quicker."""
    place = storage.join(output, JOURNAL, f"{shard_name(shard)}.parquet")
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([asdict(edit) for edit in edits], EDITS), stream, compression="zstd")
    if storage.create_bytes(place, stream.getvalue()):
        return edits
    return list(noted(place))


def noted(place: str) -> Iterator[Edit]:
    """*Worker.* The changes of one journal."""
    with storage.open_read(place) as stream:
        for batch in pq.ParquetFile(stream).iter_batches(1024):
            yield from (Edit(**row) for row in batch.to_pylist())


def make(output: str, edits: Iterable[Edit]) -> Counter[str]:
    """*Worker.* Make changes that have been noted; returns how many files had which fate."""
    counts: Counter[str] = Counter()
    for edit in edits:
        counts[_make(output, edit)] += 1
    return counts


def _make(output: str, edit: Edit) -> str:
    found = read_or_none(edit.path)
    if _sha(found) == edit.sha_after:
        return THERE
    if _sha(found) != edit.sha_before:
        return MEANWHILE
    if storage.exists(storage.join(output, UNDONE)):
        return STOPPED
    old = found or b""
    new = old[: edit.start] + edit.after + old[edit.start + len(edit.before) :]
    if not edit.existed:
        return MADE if storage.create_bytes(edit.path, new) else _made_by_another(edit)
    storage.write_bytes(edit.path, new)
    give_marks(edit.path, edit.mode, 0)
    return MADE


def _made_by_another(edit: Edit) -> str:
    """Of a file that has just come: the same task elsewhere writes the same, a person something else."""
    return THERE if _sha(read_or_none(edit.path)) == edit.sha_after else MEANWHILE


def undo(edits: Iterable[Edit]) -> Counter[str]:
    """*Worker.* Give files back as they were; returns how many had which fate."""
    counts: Counter[str] = Counter()
    for edit in edits:
        counts[_undo(edit)] += 1
    return counts


def _undo(edit: Edit) -> str:
    found = read_or_none(edit.path)
    if _sha(found) == edit.sha_before:
        give_marks(edit.path, edit.mode, edit.changed_ns)
        return AS_BEFORE
    if found is None or _sha(found) != edit.sha_after:
        return SINCE
    if not edit.existed:
        storage.remove_files([edit.path])
        return RESTORED
    storage.write_bytes(edit.path, found[: edit.start] + edit.before + found[edit.start + len(edit.after) :])
    give_marks(edit.path, edit.mode, edit.changed_ns)
    return RESTORED


def _sha(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()


def marks_of(path: str) -> tuple[int, int]:
    """*Worker.* Permissions and time of change of a local file: a step that looks at times must find it as it was."""
    if not storage.is_local(path):
        return 0, 0
    found = os.stat(path)
    return found.st_mode & 0o7777, found.st_mtime_ns


def give_marks(path: str, mode: int, changed_ns: int) -> None:
    """*Worker.* Give a local file its permissions and, unless that is 0, its time back."""
    if not mode or not storage.is_local(path):
        return
    with suppress(OSError):  # the bytes are what counts
        os.chmod(path, mode)
        if changed_ns:
            os.utime(path, ns=(os.stat(path).st_atime_ns, changed_ns))
