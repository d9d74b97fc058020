"""*Server.* The card of an index: what a person should know before trusting what it finds, and how to name it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from clip_spark.index.files.layout import IndexInfo
from clip_spark.web.models import ERRORS, CardAnswer
from clip_spark.web.parameters import Index, known_parameters
from clip_spark.web.served import CROSS_RECALL, ServedIndex

LICENCES = ("license", "licence", "rights")
"""Columns in which sets say under which terms a record may be used; case does not matter."""

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
        **{"calibrated": info.calibration is not None, "recall": recalls(info), "recall_cross": _cross(info)},
        **{"rejects": manifest.rejects, "columns": columns},
        **{"licence_columns": [name for name in columns if name.lower() in LICENCES]},
        "cite": citation(index),
    }


def recalls(info: IndexInfo) -> list[dict[str, Any]]:
    """*Pure.* The share of the true nearest k that a search for k finds, as the build measured it, by growing k."""
    if info.efforts:
        return [{"k": effort.k, "recall": round(effort.recall, 4)} for effort in info.efforts]
    measured = info.measured.get("recall_at_10")
    return [{"k": 10, "recall": round(measured, 4)}] if isinstance(measured, float) else []


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
