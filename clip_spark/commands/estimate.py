"""*Driver.* Before a run: shards, bytes, hours, money and index memory, from the inputs' sizes and a file of rates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any

from clip_spark import storage
from clip_spark.commands.estimate_spec import PlanSpec
from clip_spark.commands.options import read_yaml
from clip_spark.datasets.manifest import read_manifest
from clip_spark.datasets.sizes import human, size_bytes
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError, SpecError, nearest
from clip_spark.index.build.choose_key import choose_key, choose_parts
from clip_spark.index.files.keys import bytes_per_vector
from clip_spark.index.files.needed_faiss import lacking
from clip_spark.index.specs import task_bytes
from clip_spark.texts.ngrams.count import choose_shards

ID_BYTES = 36
"""A record id in parquet: 32 hex digits and their length."""
RECORD_BYTES = 120
"""A record in parquet: id, text or URI, a few columns; compressed."""
RECEIPT_BYTES = 700
"""One receipt in the manifest (docs/sizing.md)."""
MB = 1e6


@dataclass(frozen=True)
class Sizes:
    """What there is to do: bytes of text, numbers of pictures and texts."""

    corpus_bytes: int
    pictures: int
    texts: int


@dataclass(frozen=True)
class Estimate:
    """One step: rows in, shards out, bytes out, unit hours (of one GPU or core), hours on the clock, money."""

    step: str
    rows: int
    shards: int
    bytes: int
    machine_hours: float
    clock_hours: float
    cost: float


@dataclass(frozen=True)
class Planned:
    """What `clip-spark plan` shows: tables, and a sentence on what an index needs that is not here, if any."""

    tables: list[Table]
    needed: str


def plan(spec: PlanSpec) -> Planned:
    """*Driver.* What a run will take.

    Raises:
        InputError: an input is missing.
        SpecError: the model is not in the rates file, or a rate is missing.
    """
    rates, sizes = read_rates(spec.rates), measure(spec)
    steps = estimate(sizes, rates, spec)
    rows = [(s.step, short(s.rows), s.shards, human(s.bytes), s.machine_hours, s.clock_hours, s.cost) for s in steps]
    sums = [sum(getattr(step, name) for step in steps) for name in ("bytes", "machine_hours", "clock_hours", "cost")]
    total = ("all", "", sum(step.shards for step in steps), human(sums[0]), *sums[1:])
    columns = ("step", "rows", "shards", "written", "unit hours", "hours", "USD")
    indices = index_table(sizes, rates, spec)
    tables = [table for table in (Table("plan", columns, [*rows, total]), indices) if table.rows]
    return Planned(tables, needed_for([key for _, key, *_ in indices.rows]))


def needed_for(keys: Sequence[str]) -> str:
    """*Driver.* A sentence on the first of some indices that the Faiss here cannot make; empty if there is none."""
    for key in keys:
        if lacks := lacking(key):
            return f"{key} {lacks}: install that where the index is built and searched, or its codes will be others."
    return ""


def read_rates(uri: str) -> dict[str, Any]:
    """*Driver.* The rates file, or the bundled one."""
    if uri:
        return dict(read_yaml(uri))
    with as_file(files("clip_spark.conf") / "rates" / "published.yaml") as path:
        return dict(read_yaml(str(path)))


def measure(spec: PlanSpec) -> Sizes:
    """*Driver.* Sizes of the inputs, listed or as given."""
    corpus = sum(file.bytes for uri in spec.corpus for file in _listed(uri))
    pictures = sum(len(_listed(uri)) for uri in spec.images)
    texts = sum(read_manifest(uri, "records").rows for uri in spec.records)
    more_bytes, more_pictures, more_texts = spec.given()
    return Sizes(corpus + more_bytes, pictures + more_pictures, texts + more_texts)


def _listed(uri: str) -> list[storage.FileInfo]:
    found = storage.list_files(storage.absolute(uri))
    if not found:
        raise InputError(f"'{uri}' does not exist or is empty; there is nothing to plan from.")
    return found


def estimate(sizes: Sizes, rates: Mapping[str, Any], spec: PlanSpec) -> list[Estimate]:
    """*Pure.* One estimate per step that has something to do."""
    model = model_rates(rates, spec.model)
    found = []
    if sizes.corpus_bytes:
        hours = sizes.corpus_bytes / MB / rates["corpus_mb_per_core_second"] / 3600
        found.append(_on_cores("count-ngrams", (0, choose_shards(sizes.corpus_bytes), 0), hours, rates, spec))
    for step, rows, rate in (
        ("embed-text", sizes.texts, "texts_per_gpu_second"),
        ("embed-images", sizes.pictures, "pictures_per_gpu_second"),
    ):
        if rows:
            hours = rows / model[rate] / 3600
            cost = hours * rates["price_per_gpu_hour"]
            shards, size = math.ceil(rows / spec.shard_rows), rows * (_row_bytes(model) + RECORD_BYTES)
            found.append(Estimate(step, rows, shards, size, hours, hours / spec.gpus, cost))
    for step, rows in (("index texts", sizes.texts), ("index pictures", sizes.pictures)):
        if rows:
            hours = rows / rates["vectors_per_core_second"] / 3600
            key, parts = index_of(rows, model["dimension"], spec)
            size = rows * bytes_per_vector(key, model["dimension"])
            found.append(_on_cores(step, (rows, parts, size), hours, rates, spec))
    return found


def _on_cores(
    step: str, made: tuple[int, int, int], hours: float, rates: Mapping[str, Any], spec: PlanSpec
) -> Estimate:
    rows, shards, size = made
    return Estimate(step, rows, shards, size, hours, hours / spec.cores, hours * rates["price_per_core_hour"])


def _row_bytes(model: Mapping[str, Any]) -> int:
    return 4 * int(model["dimension"]) + ID_BYTES


def model_rates(rates: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """*Pure.* The rates of a model; raises SpecError when the file has none."""
    known = rates.get("models", {})
    if model not in known:
        raise SpecError(f"The rates file has no model '{model}'; it has {', '.join(known)}.{nearest(model, known)}")
    return dict(known[model])


def index_of(rows: int, dimension: int, spec: PlanSpec) -> tuple[str, int]:
    """*Pure.* Factory key and parts that build-index would choose."""
    key = choose_key(rows, dimension, size_bytes("max-index-memory", spec.max_index_memory))
    return key, choose_parts(key, rows, dimension, task_bytes(spec.max_build_memory))


def index_table(sizes: Sizes, rates: Mapping[str, Any], spec: PlanSpec) -> Table:
    """*Pure.* What the indices will be, and what the driver will hold."""
    dimension = int(model_rates(rates, spec.model)["dimension"])
    rows: list[tuple[Any, ...]] = []
    for name, count in (("texts", sizes.texts), ("pictures", sizes.pictures)):
        if count:
            key, parts = index_of(count, dimension, spec)
            manifest = math.ceil(count / spec.shard_rows) * RECEIPT_BYTES
            rows.append((name, key, parts, human(count * bytes_per_vector(key, dimension)), human(manifest)))
    return Table("index", ("of", "Faiss key", "parts", "memory", "manifest"), rows)


def short(count: int) -> str:
    """*Pure.* 400M; empty for nothing."""
    for factor, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "K")):
        if count >= factor:
            return f"{count / factor:.3g}{unit}"
    return str(count or "")
