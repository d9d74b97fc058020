"""Says in what a dataset differs from the undisturbed one; empty when in nothing that matters."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.embeddings import read_embeddings
from clip_spark.datasets.manifest import REPORT, Manifest, read_manifest
from clip_spark.index.files.layout import read_index
from clip_spark.pictures.download.earlier import own_archive
from clip_spark.pictures.download.tally import SAID_BY_CLOCK
from clip_spark.pictures.items import Picture

OF_THE_CLOCK = (
    "seconds_by_stage",
    "wall_seconds",
    "rows_per_second",
    "created",
    "cost",
    "cost_per_million",
    "slow_hosts",
    "links_by_seconds",
)
"""What a report and a manifest say that another run says otherwise."""


OF_THE_INDEX = ("encoder", "modality", "dim", "metric", "key", "train_rows", "columns")


def difference(uri: str, reference: str) -> str:
    """One phrase, or nothing."""
    found, wanted = read_manifest(uri), read_manifest(reference)
    if (found.rows, found.rejects, len(found.receipts)) != (wanted.rows, wanted.rejects, len(wanted.receipts)):
        return f"{found.rows} rows in {len(found.receipts)} shards, {wanted.rows} in {len(wanted.receipts)} undisturbed"
    if found.kind == "index":
        return _index_difference(found) or _index_told_otherwise(found, wanted)
    if [r.id_checksum for r in found.receipts] != [r.id_checksum for r in wanted.receipts]:
        return "other ids"
    if odd := _told_otherwise(found, wanted):
        return odd
    if found.kind == "embeddings":
        vectors = [np.concatenate([read_embeddings(file) for file in m.files("embeddings")]) for m in (found, wanted)]
        return "" if np.allclose(*vectors, atol=1e-5) else "other vectors"
    if found.kind == "images":
        return _other_pictures(found, wanted)
    if found.kind in ("map", "duplicates"):
        return _other_bytes(found, wanted)
    folders = {path.split("/", 1)[0] for receipt in wanted.receipts for path in receipt.files}
    return next((f"other {name}" for name in sorted(folders) if rows_of(found, name) != rows_of(wanted, name)), "")


def _other_pictures(found: Manifest, wanted: Manifest) -> str:
    """What became of the links, and the pictures that came, without the times."""
    records = [[{**row, "seconds": 0, "fetched": ""} for row in rows_of(each, "records")] for each in (found, wanted)]
    archives = [[own_archive(uri) for uri in each.files("images")] for each in (found, wanted)]
    pictures = [[(p.record_id, p.data, p.caption) for a in each for p in a.read() if isinstance(p, Picture)]
                for each in archives]  # fmt: skip
    return "other records" if records[0] != records[1] else "other pictures" if pictures[0] != pictures[1] else ""


def _other_bytes(found: Manifest, wanted: Manifest) -> str:
    """The file of a dataset whose files are to be the same to the bit, and are not."""
    paths = [path for receipt in wanted.receipts for path in receipt.files]
    bytes_of = [[storage.read_bytes(storage.join(each.uri, path)) for path in paths] for each in (found, wanted)]
    return next((f"other {path}" for path, one, two in zip(paths, *bytes_of, strict=True) if one != two), "")


def _told_otherwise(found: Manifest, wanted: Manifest) -> str:
    """What totals, counters, rejected rows or the report say, where it is something else."""
    counters = [[_lasting(receipt.counters) for receipt in manifest.receipts] for manifest in (found, wanted)]
    reports = [timeless(storage.read_json(storage.join(each.uri, REPORT))) for each in (found, wanted)]
    if found.kind == "images":  # its files say when each link was asked for, and times compress to different sizes
        reports = [{**report, "bytes": 0} for report in reports]
    pairs = {
        "totals": (timeless(found.extra), timeless(wanted.extra)),
        "counters": (counters[0], counters[1]),
        "report": (reports[0], reports[1]),
        "rejects": (rows_of(found, "rejects"), rows_of(wanted, "rejects")),
    }
    return next((f"other {name}: {one} instead of {other}" for name, (one, other) in pairs.items() if one != other), "")


def _lasting(counters: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in counters.items() if not name.startswith(SAID_BY_CLOCK)}


def timeless(value: Mapping[str, Any]) -> dict[str, Any]:
    """A report, or what a manifest says beside its receipts, without what depends on the clock."""
    return {key: item for key, item in value.items() if key not in OF_THE_CLOCK}


def rows_of(manifest: Manifest, folder: str) -> list[dict]:  # type: ignore[type-arg]
    """All rows of one folder, in order; fractions rounded."""
    tables = []
    for uri in manifest.files(folder):
        with storage.open_read(uri) as stream:
            tables.append(pq.read_table(stream))
    rows = pa.concat_tables(tables).to_pylist() if tables else []
    return [{key: round(item, 4) if isinstance(item, float) else item for key, item in row.items()} for row in rows]


def _index_difference(found: Manifest) -> str:
    """Ids complete and unique: every position from 0 to n - 1 exactly once over all parts."""
    import faiss

    ids = []
    with tempfile.TemporaryDirectory() as folder:
        for part in read_index(found.uri)[1].parts:
            place = Path(folder) / storage.name(part.path)
            place.write_bytes(storage.read_bytes(storage.join(found.uri, part.path)))
            index = faiss.read_index(str(place))
            flat = not hasattr(faiss.downcast_index(index), "nprobe")
            ids += [part.start + np.arange(index.ntotal)] if flat else list(_listed_ids(faiss, index))
    all_ids = np.sort(np.concatenate(ids))
    return "" if np.array_equal(all_ids, np.arange(found.rows)) else f"{len(np.unique(all_ids))} of {found.rows} ids"


def _index_told_otherwise(found: Manifest, wanted: Manifest) -> str:
    """What an index says of itself, and its records; what was measured depends on the clock, and draws on chance."""
    infos = [read_index(each.uri)[1] for each in (found, wanted)]
    said = [[getattr(info, name) for name in OF_THE_INDEX] for info in infos]
    records = [[(file.start, file.rows, file.sha256) for file in info.records] for info in infos]
    if said[0] != said[1]:
        return f"other properties: {said[0]} instead of {said[1]}"
    return "" if records[0] == records[1] else "other records"


def _listed_ids(faiss: Any, index: Any) -> Iterator[np.ndarray]:
    """The ids of each inverted list that holds any."""
    lists = faiss.extract_index_ivf(index).invlists
    for number in range(lists.nlist):
        if size := lists.list_size(number):
            yield faiss.rev_swig_ptr(lists.get_ids(number), size).copy()
