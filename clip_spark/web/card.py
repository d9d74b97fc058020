"""*Server.* The card of an index: what a person should know before trusting what it finds, and how to name it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from clip_spark.datasets.receipt import sum_up
from clip_spark.index.files.layout import IndexInfo
from clip_spark.search.plain_values import plain
from clip_spark.web.answers import ERRORS, CardAnswer
from clip_spark.web.budget import check_budget
from clip_spark.web.parameters import Index, known_parameters
from clip_spark.web.recall_watch import Figures
from clip_spark.web.served import CROSS_RECALL, ServedIndex

LICENCES = ("license", "licence", "rights")
"""Columns in which sets say under which terms a record may be used; case does not matter."""
MOST_LICENCES = 8
"""Terms of a column that are named; the others are counted together."""

router = APIRouter(responses=ERRORS)


@router.get("/card", response_model=CardAnswer, dependencies=[Depends(known_parameters)])
def card(request: Request, index: Index = None) -> JSONResponse:
    """What an index is: model, rows, when it was built, what was measured, how to cite it."""
    return JSONResponse(card_of(request.app.state.catalog.get(index)))


def card_of(index: ServedIndex) -> dict[str, Any]:
    """*Server.* The card of one index."""
    info, manifest = index.searcher.info, index.searcher.manifest
    live, columns = index.searcher.rows, index.searcher.records.columns
    return {
        **{"name": index.name, "kind": index.kind, "rows": live, "removed": index.rows - live},
        **{"model": info.encoder["model"], "weights_sha256": info.encoder.get("weights_sha256"), "dim": info.dim},
        **{"key": info.key, "generation": info.generation, "built": manifest.created},
        "in_pieces": index.searcher.in_pieces,
        **{"calibrated": info.calibration is not None, "recall": _recall(info), "recall_cross": _cross(info)},
        "watched": _watched(index.watch.figures),
        **{"rejects": manifest.rejects, "lost": lost_of(manifest.inputs, info), "columns": columns},
        **{"licences": {name: licences(index, name) for name in columns if name.lower() in LICENCES}},
        "cite": citation(index),
    }


def lost_of(inputs: Mapping[str, Mapping[str, Any]], info: IndexInfo) -> dict[str, int] | None:
    """*Pure.* What never came into the embeddings of an index, by reason; None where nobody wrote it down."""
    sets = {one["uri"] for name, one in inputs.items() if name.startswith("embeddings")}
    return (
        {reason: int(count) for reason, count in sum_up(info.lost.values()).items()}
        if sets <= info.lost.keys()
        else None
    )


def licences(index: ServedIndex, column: str) -> list[dict[str, Any]]:
    """*Server.* The terms that records say in a column, the most frequent first, with how many have each.

    Raises:
        TooSlow: the index has too many records to count them for one request.
    """
    allowed, counts = index.allowed(""), Counter[Any]()
    for first, batch in index.searcher.records.batches([column]):
        check_budget()
        if column not in batch.schema.names:
            counts[None] += batch.num_rows
            continue
        values = batch.column(column)
        if allowed is not None:
            values = values.filter(pa.array(allowed.mask[first : first + len(values)]))
        counts.update({one["values"]: one["counts"] for one in values.value_counts().to_pylist()})
    named = sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
    others = sum(count for _, count in named[MOST_LICENCES:])
    shown = [{"value": plain(value), "count": count} for value, count in named[:MOST_LICENCES]]
    return [*shown, *([{"value": "others", "count": others}] if others else [])]


def _recall(info: IndexInfo) -> list[dict[str, Any]]:
    return [{"k": k, "recall": recall} for k, recall in info.recalls.items()]


def _watched(figures: Figures | None) -> dict[str, Any] | None:
    if figures is None:
        return None
    shares = {name: getattr(figures, name) for name in ("recall", "expected", "drift")}
    known = {name: None if math.isnan(share) else round(share, 4) for name, share in shares.items()}
    return {"checked": figures.checked, **known, "warning": figures.warning}


def _cross(info: IndexInfo) -> float | None:
    measured = info.measured.get(CROSS_RECALL)
    return round(measured, 4) if isinstance(measured, float) else None


def citation(index: ServedIndex) -> str:
    """*Server.* One line that names exactly what was searched: the generation and the weights decide what is found."""
    info, manifest = index.searcher.info, index.searcher.manifest
    weights = str(info.encoder.get("weights_sha256") or "")
    model = f"{info.encoder['model']} (weights {weights[:12]})" if weights else info.encoder["model"]
    version = manifest.versions.get("clip_spark", "")
    return (
        f"Index “{index.name}” of {index.searcher.rows:,} {index.kind}s, generation {info.generation or 'first'}, "
        f"built on {manifest.created[:10]} with clip-spark {version} and the model {model}."
    )
