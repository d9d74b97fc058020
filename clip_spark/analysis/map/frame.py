"""*Worker.* The frame of a map: all that placing needs. It is made once, and what is placed later moves nothing.

<map>/frame/00000.parquet   the anchors: record_id, x, y; those with the smallest hashes first
<map>/frame/00000.index     their vectors in a Faiss file, in the same order
<map>/frame/00000.json      square, width of the kernel, thresholds of the levels, what was measured
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.analysis.map.levels import Levels, Square
from clip_spark.analysis.map.neighbours import nearest
from clip_spark.analysis.map.place import NEAREST, place
from clip_spark.datasets import schema
from clip_spark.datasets.receipt import Receipt, sum_up
from clip_spark.datasets.shards import ShardWriter
from clip_spark.index.files.faiss_library import load_faiss

FRAME = "frame"
PICTURE, TEXT = KINDS = ("image", "text")


@dataclass(frozen=True)
class Frame:
    """What places points on a map.

    Attributes:
        ids: of the anchors, an Arrow array of n texts.
        places: of the anchors, float32 (n, 2).
        index: their vectors, an inverted file of Faiss.
        square: of zoom 0.
        width: of the kernel, in units of the map.
        seed: of the hashes.
        levels: thresholds of each kind of point.
        far: kind -> the cosine to the nearest anchor below which a row is far.
        rows: kind -> rows when the map was fitted.
        shards: numbers below this are of shards that the map had when it was fitted.
        figures: what was measured.
    """

    ids: Any
    places: np.ndarray
    index: Any
    square: Square
    width: float
    seed: int
    levels: Mapping[str, Levels]
    far: Mapping[str, float]
    rows: Mapping[str, int]
    shards: int
    figures: Mapping[str, float]

    def locate(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """*Worker.* Places of unit vectors of the map's encoder, float32 (m, d): pictures or texts.

        Returns:
            places float32 (m, 2); cosines float32 (m, k) and numbers int64 (m, k) of the nearest anchors.
        """
        return locate(self.index, self.places, vectors, self.width)

    def own(self, ids: Any) -> np.ndarray:
        """*Pure.* Numbers of the anchors that some records are (Arrow array of ids), int64; -1 for others."""
        found = pc.index_in(ids, value_set=self.ids).fill_null(-1)
        return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)


def locate(
    index: Any, places: np.ndarray, vectors: np.ndarray, width: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """*Worker.* As `Frame.locate`, before there is a frame."""
    scores, numbers = nearest(index, vectors, min(NEAREST, len(places)))
    short = numbers < 0  # lists that were looked into held fewer anchors: the first stands in for those
    numbers = np.where(short, numbers[:, :1], numbers)
    scores = np.where(short, scores[:, :1], scores)
    return place(scores, places[numbers], width), scores, numbers


def write_frame(writer: ShardWriter, frame: Frame) -> None:
    """*Worker.* Attach the files of a frame to its shard."""
    anchors = {schema.RECORD_ID: frame.ids, "x": frame.places[:, 0], "y": frame.places[:, 1]}
    data = io.BytesIO()
    pq.write_table(pa.table(anchors), data, compression="zstd")
    writer.attach(FRAME, "parquet", data.getvalue())
    writer.attach(FRAME, "index", load_faiss().serialize_index(frame.index).tobytes())
    value = {
        "square": [frame.square.x, frame.square.y, frame.square.side],
        "width": frame.width,
        "seed": frame.seed,
        "levels": {kind: levels.to_json() for kind, levels in frame.levels.items()},
        "far": dict(frame.far),
        "rows": dict(frame.rows),
        "shards": frame.shards,
        "figures": dict(frame.figures),
    }
    writer.attach(FRAME, "json", json.dumps(value).encode())


def frame_base(uri: str, receipt: Receipt) -> str:
    """*Pure.* URI of a frame's files without their endings; `uri` is where the paths of its receipt begin."""
    path = next(path for path in receipt.files if path.endswith(".json"))
    return storage.join(uri, path.removesuffix(".json"))


def read_facts(base: str) -> dict[str, Any]:
    """*Anywhere.* The JSON of a frame; `base` is its URI without the ending."""
    found: dict[str, Any] = storage.read_json(f"{base}.json")
    return found


def unreadable(extra: Mapping[str, Any]) -> dict[str, int]:
    """*Pure.* Pictures that are not on a map, by reason, as `extra` of its manifest has them."""
    return {reason: int(count) for reason, count in sum_up(extra.get("lost", {}).values()).items()}


def read_anchors(base: str) -> tuple[Any, np.ndarray]:
    """*Anywhere.* Ids (Arrow array) and places (float32 (n, 2)) of the anchors."""
    with storage.open_read(f"{base}.parquet") as stream:
        table = pq.read_table(stream)
    places = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)
    return table[schema.RECORD_ID].combine_chunks(), places


@lru_cache(1)
def open_frame(base: str) -> Frame:
    """*Worker.* The frame at `<base>.parquet`, `.index` and `.json`, opened once per process."""
    value = read_facts(base)
    ids, places = read_anchors(base)
    index = load_faiss().deserialize_index(np.frombuffer(storage.read_bytes(f"{base}.index"), np.uint8))
    return Frame(
        ids=ids,
        places=places,
        index=index,
        square=Square(*value["square"]),
        width=value["width"],
        seed=value["seed"],
        levels={kind: Levels.from_json(levels) for kind, levels in value["levels"].items()},
        far=value["far"],
        rows=value["rows"],
        shards=value["shards"],
        figures=value["figures"],
    )
