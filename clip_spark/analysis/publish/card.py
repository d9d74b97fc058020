"""*Driver.* The card of a publication: a README.md as hubs show it, made of manifests and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip_spark import storage
from clip_spark.analysis.publish.contents import Contents
from clip_spark.analysis.publish.spec import ATLAS, CLIP_RETRIEVAL, FONDANT, LANCEDB, USEARCH, WEBDATASET, PublishSpec
from clip_spark.datasets.manifest import REPORT, Manifest, read_manifest
from clip_spark.errors import ClipSparkError

MOST_STEPS = 50
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
         (10**8, "10M<n<100M"), (10**9, "100M<n<1B"))  # fmt: skip
PATTERNS = {
    FONDANT: "data/*.parquet", USEARCH: "data/*.parquet", CLIP_RETRIEVAL: "metadata/*.parquet",
    WEBDATASET: "*.tar", ATLAS: "atlas.parquet",
}  # fmt: skip
"""What `datasets` loads."""
OTHER_WAYS = {
    WEBDATASET: ("import webdataset", 'for sample in webdataset.WebDataset("00000.tar").decode():',
                 '    sample["json"]["tags"], sample["npy"]  # and the picture under its ending'),
    LANCEDB: ("import lancedb", 'rows = lancedb.connect("/path/to/this/folder").open_table("vectors")',
              "rows.search(query).limit(10).to_pandas()"),
    USEARCH: ("from usearch.index import Index", 'index = Index.restore("vectors.usearch")',
              "index.search(query, 10).keys  # numbers of rows of data/, from 0"),
    ATLAS: ("# in a shell", "# embedding-atlas atlas.parquet --x x --y y --neighbors neighbors --text text"),
}  # fmt: skip
LICENCE_COLUMNS = ("license", "licence", "rights")


@dataclass(frozen=True)
class Step:
    """One dataset on the way: its manifest, and its report where that is still there."""

    manifest: Manifest
    report: dict[str, Any]


def history(manifest: Manifest) -> Iterator[Step]:
    """*Driver.* A dataset and those that it was made of, as far as they can still be read; each once."""
    waiting, seen = [manifest], set[str]()
    while waiting and len(seen) < MOST_STEPS:
        one = waiting.pop(0)
        if one.uri in seen:
            continue
        seen.add(one.uri)
        report: dict[str, Any] = {}
        with suppress(ClipSparkError, OSError):
            report = storage.read_json(one.locate(REPORT))
        yield Step(one, report)
        for given in one.inputs.values():
            with suppress(ClipSparkError, OSError):
                waiting.append(read_manifest(given["uri"]))


def card(spec: PublishSpec, contents: Contents, title: str) -> str:
    """*Driver.* The whole README.md."""
    steps = list(history(contents.manifest))
    parts = [_header(spec, contents, title), f"# {title}", _what(contents)]
    parts += [_made_of(contents), _hubs(contents), _rejects(steps), _way(steps)]
    parts += [_licence(spec, contents), _load(spec, contents)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(spec: PublishSpec, contents: Contents, title: str) -> str:
    rows = len(contents.positions)
    size = next((name for most, name in SIZES if rows < most), "n>1B")
    lines = ["---", f"pretty_name: {_quoted(title)}", f"license: {spec.license or 'other'}", "tags:"]
    lines += ["- embeddings", "- clip", "- faiss", "- clip-spark", "size_categories:", f"- {size}"]
    pattern = PATTERNS.get(spec.layout)
    lines += ["configs:", "- config_name: default", f'  data_files: "{pattern}"'] if pattern else []
    return "\n".join([*lines, "---"])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _what(contents: Contents) -> str:
    info = contents.info
    return (
        f"CLIP embeddings of {len(contents.positions):,} {info.modality}s with a Faiss index, made by clip-spark "
        f"{contents.manifest.versions.get('clip_spark', '')} on {contents.manifest.created[:10]}."
    )


def _made_of(contents: Contents) -> str:
    info, encoder = contents.info, contents.info.encoder
    rows = {
        "model": encoder["model"],
        "weights (sha256)": encoder.get("weights_sha256", ""),
        "precision": encoder.get("precision", ""),
        "numbers per vector": info.dim,
        "rows": f"{len(contents.positions):,}",
        "taken down, and not in here": f"{len(contents.removed):,}",
        "index": f"{info.key}, {info.metric}",
        **{name.replace("_", " "): value for name, value in info.measured.items()},
    }
    if info.calibration is not None:
        rows["hubs"] = "known: the index here is calibrated, this copy of it ranks by cosine alone"
    return _table(("what", "value"), [(name, value) for name, value in rows.items() if value != ""])


def _hubs(contents: Contents) -> str:
    """The records that answer most questions, whatever is asked; those that were taken down since are not named."""
    learnt, gone = contents.info.calibration, contents.removed
    if learnt is None or not learnt.hubs:
        return ""
    places = np.array([hub["position"] for hub in learnt.hubs], np.int64)
    ids = contents.ids(places)
    rows = [
        (hub["name"], f"{hub['share']:.1%}", f"{hub['corrected']:.1%}")
        for hub, record in zip(learnt.hubs, ids, strict=True)
        if record is not None and record not in gone
    ]
    table = _table(("record", f"among the first ten of all {learnt.asked_by}s", "with the correction"), rows)
    return "## Hubs\n\nThese are near to most of what is asked.\n\n" + table if rows else ""


def _rejects(steps: list[Step]) -> str:
    rows = []
    for step in steps:
        rejected = sum(step.manifest.rejects.values())
        if step.manifest.kind != "index" and step.manifest.rows + rejected:
            share = step.manifest.rows / (step.manifest.rows + rejected)
            why = ", ".join(f"{count:,} {reason}" for reason, count in sorted(step.manifest.rejects.items()))
            rows.append((step.manifest.kind, f"{step.manifest.rows:,}", f"{share:.2%}", why))
    return "## What was left out\n\n" + _table(("step", "rows", "success", "rejected"), rows) if rows else ""


def _way(steps: list[Step]) -> str:
    rows = [
        (step.manifest.kind, step.manifest.spec.get("spec", ""), step.report.get("wall_seconds", ""),
         step.manifest.extra.get("cost", ""), step.manifest.created)
        for step in reversed(steps)
    ]  # fmt: skip
    return "## How it was made\n\n" + _table(("dataset", "options of", "seconds", "cost", "when"), rows)


def _licence(spec: PublishSpec, contents: Contents) -> str:
    named = [name for name in contents.columns.names if name.lower() in LICENCE_COLUMNS]
    given = (
        f"The data are given under {spec.license}." if spec.license else "Whoever published this has stated no licence."
    )
    return "## Licence\n\n" + given + (f" Each row has its own in the column `{named[0]}`." if named else "")


def _load(spec: PublishSpec, contents: Contents) -> str:
    """How others read it; the place is named only where it is a hub's."""
    if spec.layout == CLIP_RETRIEVAL:
        lines = [
            'echo \'{"published": "/path/to/this/folder"}\' > indices.json',
            f"clip-retrieval back --indices-paths indices.json   # serves {contents.info.modality}.index",
        ]
        return "## Use\n\n```sh\n" + "\n".join(lines) + "\n```"
    if spec.layout in OTHER_WAYS:
        return "## Use\n\n```python\n" + "\n".join(OTHER_WAYS[spec.layout]) + "\n```"
    hub = spec.output.removeprefix("hf://datasets/") if spec.output.startswith("hf://") else ""
    given = f'"{hub}"' if hub else '"parquet", data_files="data/*.parquet"'
    code = [
        "import faiss",
        "from datasets import load_dataset",
        f'rows = load_dataset({given}, split="train")  # id, url, embedding, ...',
        'index = faiss.read_index("faiss")  # its number i is row i',
        'print(rows[int(index.search(query, 1)[1][0, 0])]["url"])',
    ]
    return "## Use\n\n```python\n" + "\n".join(code) + "\n```"


def _table(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [" | ".join(names), " | ".join("---" for _ in names)]
    lines += [" | ".join(str(value).replace("|", "\\|").replace("\n", " ") for value in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)
