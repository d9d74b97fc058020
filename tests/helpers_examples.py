"""Counts of a small corpus as count-ngrams leaves them, and as much of Spark in this process as sample-lines uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from clip_spark.datasets import schema
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.texts import corpus
from clip_spark.texts.specs import CountSpec
from tests.helpers_spark import in_this_process


def broadcasting(patch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Tasks in this process, which is sent what is broadcast."""
    get = in_this_process(patch)
    patch.setattr("tests.helpers_spark.Partitions.getNumPartitions", lambda rdd: len(rdd.parts), raising=False)

    def session() -> Any:
        context = get().sparkContext
        context.broadcast = lambda value: SimpleNamespace(value=value)
        return SimpleNamespace(sparkContext=context)

    return session


def write_counts_of(folder: Path, lines: list[str], ngrams: list[str]) -> str:
    """A corpus in one file, and counts of some n-grams."""
    text = folder / "text"
    text.mkdir(parents=True, exist_ok=True)
    (text / "a.txt").write_text("\n".join(lines))
    spec = CountSpec(corpus=(str(text),), output=str(folder / "counts"))
    inputs = {"corpus": corpus.as_input(corpus.list_corpus(spec.corpus).files, spec.corpus)}
    run = begin_run(spec.output, Plan.of("counts", spec, inputs, 1), overwrite=True)
    rows = [{"n": len(text.split()), "text": text, "count": 2} for text in ngrams]
    with ShardWriter(run.output, run.plan.fingerprint, 0, {"counts": schema.COUNTS}) as writer:
        writer.write("counts", pa.Table.from_pylist(rows, schema.COUNTS))
        writer.finish()
    run.commit()
    return spec.output
