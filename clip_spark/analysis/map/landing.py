"""*Worker.* Where a query lands on a map that nobody serves, and the fitted pictures that are nearest to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.analysis.map.frame import PICTURE, Frame
from clip_spark.datasets import schema
from clip_spark.datasets.manifest import Manifest
from clip_spark.search.contact_sheet import file_name


def titles_of_anchors(manifest: Manifest, frame: Frame) -> dict[str, str]:
    """*Worker.* record_id -> title of the fitted pictures that are on the map; one file is in memory at a time."""
    found: dict[str, str] = {}
    for uri in manifest.files("points"):
        with storage.open_read(uri) as stream:
            table = pq.read_table(stream, columns=[schema.RECORD_ID, "kind", "text", "uri"])
        anchors = pc.is_in(table[schema.RECORD_ID], value_set=frame.ids)
        rows = table.filter(pc.and_(anchors, pc.equal(table["kind"], pa.scalar(PICTURE)))).to_pylist()
        found.update((row[schema.RECORD_ID], row["text"] or file_name(row)) for row in rows)
    return found


def landing(frame: Frame, titles: Mapping[str, str], vector: np.ndarray) -> dict[str, Any]:
    """*Worker.* A landing as the map's modules take it: place, hits (best first), and what the best are called.

    Args:
        frame: of the map.
        titles: of the anchors that are on it.
        vector: of the query, float32 (d,).
    """
    places, scores, numbers = frame.locate(vector[None])
    near = {int(number): float(score) for number, score in zip(numbers[0], scores[0], strict=True)}
    named = [(frame.ids[number].as_py(), frame.places[number].tolist(), score) for number, score in near.items()]
    hits = [
        {schema.RECORD_ID: name, "score": round(score, 6), "x": at[0], "y": at[1]}
        for name, at, score in named
        if name in titles
    ]
    best = [{"title": titles[hit[schema.RECORD_ID]], "score": hit["score"], "record": hit} for hit in hits]
    x, y = places[0].tolist()
    return {"x": x, "y": y, "kind": PICTURE, "hits": hits, "best": best}
