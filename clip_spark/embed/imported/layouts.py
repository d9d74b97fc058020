"""*Driver.* Which tool has made a folder of vectors, and which of its files belong together.

clip-retrieval   img_emb/img_emb_0.npy, text_emb/text_emb_0.npy and metadata/metadata_0.parquet, by the number
clip-grams       emb00000.npy, ... and entries.txt: a line for each vector
ids              ids/000000000.npy beside embeddings/000000000.npy, or x_ids.npy beside one other .npy (prompt-search)
parquet          a column of vectors among others (fondant, and most others)
npy              vectors alone, or with --metadata
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.spec import fingerprint
from clip_spark.embed.imported.npy_files import open_npy, open_vectors
from clip_spark.embed.imported.sources import Source
from clip_spark.embed.imported.spec import (
    AUTO,
    CLIP_RETRIEVAL,
    IDS,
    NPY,
    PARQUET,
    PICTURE,
    TEXT,
    WITH_LINES,
    ImportSpec,
)
from clip_spark.errors import InputError
from clip_spark.storage import FileInfo

READERS = 16
FOLDERS = {PICTURE: "img_emb", TEXT: "text_emb"}
ENTRIES = "entries.txt"
NUMBER = re.compile(r"(\d+)\.\w+\Z")


@dataclass(frozen=True)
class Found:
    """What is to be taken over.

    Attributes:
        layout: one of LAYOUTS.
        modality: image, text, or auto where the layout does not say it.
        files: in order.
        dtypes: of the vectors; none where parquet holds them.
        dims: numbers of a vector, as .npy files say it.
        schemas: columns of the parquet files, with the name of each.
    """

    layout: str
    modality: str
    files: tuple[Source, ...]
    dtypes: tuple[str, ...] = ()
    dims: tuple[int, ...] = ()
    schemas: tuple[tuple[str, pa.Schema], ...] = ()


def find(spec: ImportSpec) -> Found:
    """*Driver.* The files of `--embeddings` and what they are.

    Raises:
        InputError: there are none, or they do not belong together.
    """
    listed = storage.list_files(spec.embeddings)
    if not listed:
        raise InputError(f"--embeddings '{spec.embeddings}' does not exist, or holds no files.")
    npy, parquet = ([file for file in listed if file.uri.endswith(end)] for end in (".npy", ".parquet"))
    npy.sort(key=lambda file: by_number(file.uri))
    layout = spec.layout if spec.layout != AUTO else recognise(listed, spec.embeddings)
    if layout == PARQUET:
        return _parquet(parquet, spec)
    if not npy:
        raise InputError(f"--embeddings '{spec.embeddings}' holds no .npy file; --layout {layout} needs them.")
    if layout == CLIP_RETRIEVAL:
        return _clip_retrieval(npy, parquet, spec)
    if layout == WITH_LINES:
        return _with_lines(npy, listed, spec)
    if layout == IDS:
        return _with_ids(npy, spec)
    return _npy(npy, spec)


def recognise(listed: Sequence[FileInfo], uri: str) -> str:
    """*Pure.* The layout of a folder, by the names in it; raises InputError for none of the known."""
    npy = [file.uri for file in listed if file.uri.endswith(".npy")]
    packed = next((file.uri for file in listed if storage.name(file.uri).startswith(f"{ENTRIES}.")), "")
    if npy and packed:
        raise InputError(f"'{packed}' is packed; unpack it to {ENTRIES}, in which a line for each vector can be found.")
    if any(_folder(name) in FOLDERS.values() for name in npy) and any(
        _folder(file.uri) == "metadata" for file in listed
    ):
        return CLIP_RETRIEVAL
    if npy and any(storage.name(file.uri) == ENTRIES for file in listed):
        return WITH_LINES
    if any(_is_ids(name) for name in npy):
        return IDS
    if npy:
        return NPY
    if any(file.uri.endswith(".parquet") for file in listed):
        return PARQUET
    raise InputError(f"--embeddings '{uri}' holds neither .npy nor .parquet files; these are what can be taken over.")


def _clip_retrieval(npy: Sequence[FileInfo], parquet: Sequence[FileInfo], spec: ImportSpec) -> Found:
    there = [kind for kind, folder in FOLDERS.items() if any(_folder(file.uri) == folder for file in npy)]
    kind = spec.modality if spec.modality != AUTO else next(iter(there), PICTURE)
    if kind not in there:
        raise InputError(f"'{spec.embeddings}' has no folder {FOLDERS[kind]}/ with .npy files.")
    vectors = [file for file in npy if _folder(file.uri) == FOLDERS[kind]]
    beside = [file for file in parquet if _folder(file.uri) == "metadata"]
    return _paired(vectors, _by_number(vectors, beside), CLIP_RETRIEVAL, kind)


def _by_number(vectors: Sequence[FileInfo], beside: Sequence[FileInfo]) -> list[FileInfo]:
    """*Pure.* The file beside each file of vectors: that with the same number at the end of its name."""
    by_number = {_number(file.uri): file for file in beside}
    missing = [file.uri for file in vectors if _number(file.uri) not in by_number]
    if missing:
        raise InputError(f"'{missing[0]}' has no file of the same number in metadata/; each needs one.")
    spare = by_number.keys() - {_number(file.uri) for file in vectors}
    if spare:
        raise InputError(f"'{by_number[min(spare)].uri}' has no file of vectors of the same number; each needs one.")
    if len(by_number) != len(vectors):
        raise InputError(f"'{vectors[0].uri}' and others have the same number at the end of their names.")
    return [by_number[_number(file.uri)] for file in vectors]


def by_number(uri: str) -> tuple[list[str | int], str]:
    """*Pure.* An order in which 2 comes before 10, as people and `entries.txt` have it."""
    pieces = re.split(r"(\d+)", uri)
    return [int(piece) if number % 2 else piece for number, piece in enumerate(pieces)], uri


def _npy(npy: Sequence[FileInfo], spec: ImportSpec) -> Found:
    if not spec.metadata:
        return _measured(NPY, spec.modality, [_source(file) for file in npy])
    beside = [file for file in storage.list_files(spec.metadata) if file.uri.endswith(".parquet")]
    beside.sort(key=lambda file: by_number(file.uri))
    if len(beside) != len(npy):
        raise InputError(
            f"'{spec.embeddings}' has {len(npy)} .npy files and --metadata '{spec.metadata}' {len(beside)} parquet "
            "files; each needs one beside it."
        )
    return _paired(npy, beside, NPY, spec.modality)


def _paired(vectors: Sequence[FileInfo], beside: Sequence[FileInfo], layout: str, kind: str) -> Found:
    """*Driver.* Each file of vectors with its metadata, which must have as many rows."""
    looked = footers(beside)
    files = [_source(file, beside=other.uri, more=other.stamp) for file, other in zip(vectors, beside, strict=True)]
    found = _measured(layout, kind, files)
    for file, (rows, _) in zip(found.files, looked, strict=True):
        _check_as_many(file, file.beside, rows)
    schemas = tuple((file.uri, columns) for file, (_, columns) in zip(beside, looked, strict=True))
    return Found(found.layout, found.modality, found.files, found.dtypes, found.dims, schemas)


def _with_lines(npy: Sequence[FileInfo], listed: Sequence[FileInfo], spec: ImportSpec) -> Found:
    entries = next((file for file in listed if storage.name(file.uri) == ENTRIES), None)
    if entries is None:
        raise InputError(f"'{spec.embeddings}' has no {ENTRIES}; clip-grams writes it with --save_entries.")
    found = _measured(WITH_LINES, TEXT, [_source(file, lines=entries.uri, more=entries.stamp) for file in npy])
    files, at = [], 0
    for file in found.files:
        files.append(replace(file, first=at))
        at += file.rows
    return Found(found.layout, found.modality, tuple(files), found.dtypes, found.dims)


def _with_ids(npy: Sequence[FileInfo], spec: ImportSpec) -> Found:
    ids = [file for file in npy if _is_ids(file.uri)]
    vectors = [file for file in npy if not _is_ids(file.uri)]
    if len(ids) != len(vectors):
        raise InputError(
            f"'{spec.embeddings}' has {len(vectors)} files of vectors and {len(ids)} of ids; each needs one, so "
            "give the folder that holds only those that belong together."
        )
    kind = spec.modality
    if kind == AUTO:
        kind = PICTURE if any(word in vectors[0].uri.lower() for word in ("visual", "image", "img")) else TEXT
    files = [
        _source(file, ids=other.uri, ids_bytes=other.bytes, more=other.stamp)
        for file, other in zip(vectors, ids, strict=True)
    ]
    found = _measured(IDS, kind, files)
    for file in found.files:
        shape = open_npy(file.ids, file.ids_bytes).shape
        _check_as_many(file, file.ids, shape[0] if len(shape) == 1 else -1)
    return found


def _parquet(parquet: Sequence[FileInfo], spec: ImportSpec) -> Found:
    if not parquet:
        raise InputError(f"--embeddings '{spec.embeddings}' holds no .parquet file.")
    looked = footers(parquet)
    files = [replace(_source(file), parquet=True, rows=rows) for file, (rows, _) in zip(parquet, looked, strict=True)]
    schemas = tuple((file.uri, columns) for file, (_, columns) in zip(parquet, looked, strict=True))
    return Found(PARQUET, spec.modality, tuple(files), schemas=schemas)


def _measured(layout: str, kind: str, files: Sequence[Source]) -> Found:
    """*Driver.* With the rows and the numbers of a vector that the headers tell."""
    with ThreadPoolExecutor(READERS) as pool:
        headers = list(pool.map(lambda file: open_vectors(file.uri, file.bytes), files))
    with_rows = [replace(file, rows=header.shape[0]) for file, header in zip(files, headers, strict=True)]
    dims = tuple(sorted({header.shape[1] for header in headers}))
    if len(dims) > 1:
        odd = next(header for header in headers if header.shape[1] != headers[0].shape[1])
        raise InputError(
            f"'{odd.uri}' has vectors of {odd.shape[1]} numbers, '{headers[0].uri}' of {headers[0].shape[1]}; "
            "one model makes vectors of one length."
        )
    dtypes = tuple(sorted({header.dtype.newbyteorder("=").name for header in headers}))
    return Found(layout, kind, tuple(with_rows), dtypes, dims)


def footers(files: Sequence[FileInfo]) -> list[tuple[int, pa.Schema]]:
    """*Driver.* Rows and columns of parquet files; raises InputError for one that is none."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda file: _footer(file.uri), files))


def _footer(uri: str) -> tuple[int, pa.Schema]:
    try:
        with storage.open_read(uri) as stream:
            file = pq.ParquetFile(stream)
            return int(file.metadata.num_rows), file.schema_arrow.remove_metadata()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"'{uri}' is no parquet file, or damaged: {str(error).splitlines()[0][:200]}") from error


def _check_as_many(file: Source, other: str, rows: int) -> None:
    if rows != file.rows:
        many = f"{rows:,} rows" if rows >= 0 else "several columns"
        raise InputError(f"'{file.uri}' has {file.rows:,} vectors and '{other}' {many}; each vector needs one.")


def _source(
    file: FileInfo, *, more: str = "", beside: str = "", ids: str = "", ids_bytes: int = 0, lines: str = ""
) -> Source:
    stamp = fingerprint([file.stamp, file.bytes, more])[:16]
    return Source(file.uri, file.bytes, 0, stamp, beside=beside, ids=ids, ids_bytes=ids_bytes, lines=lines)


def _folder(uri: str) -> str:
    return storage.name(uri.rpartition("/")[0])


def _is_ids(uri: str) -> bool:
    return _folder(uri) == "ids" or storage.name(uri).removesuffix(".npy").endswith("ids")


def _number(uri: str) -> int:
    found = NUMBER.search(uri)
    if found is None:
        raise InputError(f"'{uri}' has no number at the end of its name; clip-retrieval's files have one.")
    return int(found[1])
