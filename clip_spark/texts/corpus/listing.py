"""*Anywhere.* A corpus: which files it is made of, and which task reads what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clip_spark import storage
from clip_spark.datasets.spec import fingerprint
from clip_spark.errors import InputError

COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}
LINE_ENDINGS = (".txt", ".text", ".md")
FIELD_ENDINGS = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".tar")
TEXT_ENDINGS = LINE_ENDINGS + FIELD_ENDINGS
WHOLE_ENDINGS = (".csv", ".tsv", ".parquet", ".tar")
"""Formats that one task reads as a whole; anything else is lines, and can be cut at any line end."""
SPLIT_BYTES = 16 << 20
"""Bytes of text that one task reads: few enough to bound its memory, many enough for repeats to be combined."""
MANY_SPLITS, LARGEST_SPLIT = 20_000, 64 << 20
"""Of a corpus that would make more tasks (320 GB), the tasks read more, up to this."""
COMPRESSED_WEIGHT = 4
"""A byte of a compressed file stands for about so many bytes of text."""


@dataclass(frozen=True)
class CorpusFile:
    """One file of a corpus: where, how many bytes on disk, a stamp that changes when it is rewritten."""

    uri: str
    relative: str
    bytes: int
    stamp: str

    @property
    def compression(self) -> str | None:
        """fsspec's name of the compression that the ending tells, or None."""
        return next((name for ending, name in COMPRESSIONS.items() if self.uri.lower().endswith(ending)), None)

    @property
    def weight(self) -> int:
        """About how many bytes of text it holds."""
        return self.bytes * (COMPRESSED_WEIGHT if self.compression else 1)


@dataclass(frozen=True)
class Piece:
    """A file, or the lines of it that begin in the bytes [start, end); `end` is None for the whole file."""

    uri: str
    compression: str | None
    start: int = 0
    end: int | None = None


Split = tuple[Piece, ...]
"""What one task reads."""


def list_corpus(
    uris: Sequence[str], option: str = "corpus", endings: tuple[str, ...] = TEXT_ENDINGS
) -> list[CorpusFile]:
    """*Driver.* The files of a corpus, in the order of the URIs and by path below each; each file once.

    Args:
        uris: files, folders and globs.
        option: name of the command line option, for messages.
        endings: what a file in a folder must end with to count; a file that is named itself always does.

    Raises:
        InputError: a place is missing, or nothing in it is text that we read.
    """
    found: dict[str, CorpusFile] = {}
    for uri in uris:
        for file in _list_place(storage.absolute(uri), option, endings):
            found.setdefault(file.uri, file)
    if not any(file.bytes for file in found.values()):
        raise InputError(f"--{option} {','.join(uris)}: all {len(found)} files are empty; there is nothing to read.")
    return list(found.values())


def _list_place(uri: str, option: str, endings: tuple[str, ...]) -> list[CorpusFile]:
    listed = storage.list_files(uri)
    if not listed:
        what = "is an empty folder" if storage.exists(uri) else "does not exist"
        raise InputError(f"--{option} '{uri}' {what}; give a text file, a folder or a glob.")
    is_place = len(listed) > 1 or listed[0].uri.rstrip("/") != uri
    files = [file for file in listed if not is_place or plain_name(file.uri).endswith(endings)]
    if not files:
        raise InputError(
            f"--{option} '{uri}' holds {len(listed)} files, none of them {' '.join(endings)} (or compressed)."
        )
    return [CorpusFile(f.uri, _relative(f.uri, uri), f.bytes, f.stamp) for f in files]


def _relative(uri: str, root: str) -> str:
    return uri[len(root) :].lstrip("/") if uri.startswith(root) and uri != root else storage.name(uri)


def plain_name(uri: str) -> str:
    """*Pure.* The last part of a URI in lower case, without the ending of a compression."""
    lowered = storage.name(uri).lower()
    for ending in COMPRESSIONS:
        lowered = lowered.removesuffix(ending)
    return lowered


def as_input(files: Sequence[CorpusFile], uris: Sequence[str]) -> dict[str, str]:
    """*Driver.* How a plan names a corpus: changed when a file is added, removed or rewritten, not when it is moved."""
    stamps = [[file.relative, file.bytes, file.stamp] for file in files]
    return {"uri": ",".join(uris), "fingerprint": fingerprint(stamps)}


def plan_splits(files: Sequence[CorpusFile], split_bytes: int = 0) -> list[Split]:
    """*Driver.* Deal the files out to tasks of about `split_bytes` of text each, in order; 0 chooses.

    Small files share a task, big plain files are cut into equal byte ranges, a compressed file is one piece.
    """
    split_bytes = split_bytes or choose_split_bytes(sum(file.weight for file in files))
    splits: list[list[Piece]] = [[]]
    room = split_bytes
    for file in files:
        for piece, weight in _pieces(file, split_bytes):
            if splits[-1] and weight > room:
                splits.append([])
                room = split_bytes
            splits[-1].append(piece)
            room -= weight
    return [tuple(split) for split in splits if split]


def choose_split_bytes(total: int) -> int:
    """*Pure.* The size of splits for a corpus of `total` bytes of text."""
    return min(max(SPLIT_BYTES, total // MANY_SPLITS), LARGEST_SPLIT)


def _pieces(file: CorpusFile, split_bytes: int) -> list[tuple[Piece, int]]:
    can_cut = not file.compression and not plain_name(file.uri).endswith(WHOLE_ENDINGS)
    if not can_cut or file.bytes <= split_bytes:
        return [(Piece(file.uri, file.compression), file.weight)] if file.bytes else []
    parts = -(-file.bytes // split_bytes)
    cuts = [file.bytes * i // parts for i in range(parts + 1)]
    return [(Piece(file.uri, None, a, b), b - a) for a, b in zip(cuts, cuts[1:], strict=False)]
