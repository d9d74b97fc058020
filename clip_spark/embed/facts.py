"""*Driver.* What the manifest of embeddings says beyond that of any dataset."""

from __future__ import annotations

import logging
import time
from typing import Any

from clip_spark.datasets.run import Refine, Run
from clip_spark.embed.task import RATES, SAMPLE, noted_encoder
from clip_spark.errors import OutputError

log = logging.getLogger(__name__)


def facts(run: Run, modality: str, price_per_hour: float) -> dict[str, Any]:
    """*Driver.* What the manifest remembers of embeddings: the encoder that the tasks agreed on, and the cost.

    Args:
        run: the run whose shards are all there.
        modality: text or image.
        price_per_hour: of the cluster; 0 leaves the cost out. It counts this run, not one that it resumed.

    Raises:
        OutputError: what this run has written was deleted meanwhile.
    """
    noted = noted_encoder(run.output)
    if noted is None:
        raise OutputError(run.why_deleted())
    encoder = {key: value for key, value in noted.items() if key not in (RATES, SAMPLE)}
    found = {"encoder": encoder, "modality": modality, "dim": encoder["dim"]}
    rows = sum(receipt.rows for receipt in run.receipts()) if price_per_hour else 0
    if not rows:
        return found
    cost = price_per_hour * (time.time() - run.started) / 3600
    return {**found, "cost": round(cost, 6), "cost_per_million": round(cost / rows * 1e6, 6)}


def with_precision(run: Run) -> Refine:
    """*Driver.* Says, and adds to a report, in what precision all tasks computed, and the rates that decided it."""
    noted = noted_encoder(run.output) or {}
    found = {"precision": noted.get("precision"), "precision_rates": noted.get(RATES, {})}
    log.info("all tasks computed in %(precision)s; measured, billions a second: %(precision_rates)s", found)
    sample = {"precision_sample": noted[SAMPLE]} if SAMPLE in noted else {}
    return lambda report: {**report, **found, **sample}
