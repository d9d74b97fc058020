"""img2dataset's output format `files`: a folder for each shard, each picture with its caption and its metadata."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from clip_spark.pictures.columns import metadata_columns
from clip_spark.pictures.find import find_pictures, plan_shards
from clip_spark.pictures.items import Picture
from clip_spark.pictures.records import PictureRow, records_table
from clip_spark.pictures.sources import FileEntry


def write_shard(folder: Path, shard: int, good: int, failed: int) -> None:
    """What img2dataset leaves of one shard: links that failed are in its table alone."""
    place = folder / f"{shard:05d}"
    place.mkdir(parents=True)
    rows = []
    for number in range(good + failed):
        key = f"{shard:05d}{number:04d}"
        ok = number < good
        row = {
            "caption": f"a fox {key}",
            "url": "http://h/same.jpg",
            "key": key,
            "status": "success" if ok else "failed",
        }
        rows.append({**row, "width": 4 if ok else None, "similarity": number / 10})
        if ok:
            stream = io.BytesIO()
            Image.new("RGB", (4, 3), "red").save(stream, "JPEG")
            (place / f"{key}.jpg").write_bytes(stream.getvalue())
            (place / f"{key}.txt").write_text(row["caption"])
            (place / f"{key}.json").write_text(json.dumps(rows[-1]))
    pq.write_table(pa.Table.from_pylist(rows), folder / f"{shard:05d}.parquet")
    (folder / f"{shard:05d}_stats.json").write_text(json.dumps({"count": good + failed, "successes": good}))


def test_pictures_have_their_captions_and_metadata_and_the_tables_are_counted(tmp_path: Path) -> None:
    write_shard(tmp_path / "out", 0, good=3, failed=1)
    write_shard(tmp_path / "out", 1, good=2, failed=2)
    found = find_pictures((str(tmp_path / "out"),))
    shards = plan_shards(found, 0)
    items = [item.load() if isinstance(item, FileEntry) else item for shard in shards for item in shard.part.read()]
    pictures = [item for item in items if isinstance(item, Picture)]
    keys = ["000000000", "000000001", "000000002", "000010000", "000010001"]
    assert [picture.caption for picture in pictures] == [f"a fox {key}" for key in keys] and len(items) == len(keys)
    table = records_table(
        [PictureRow(picture, 4, 3, 9) for picture in pictures],
        metadata_columns(shards, ("url", "similarity", "key", "width")),
    )
    assert table.column("key").to_pylist() == keys and len(set(table.column("record_id").to_pylist())) == len(keys)
    assert table.column("similarity").to_pylist() == [0.0, 0.1, 0.2, 0.0, 0.1]
    assert set(table.column("url").to_pylist()) == {"http://h/same.jpg"}
    assert table.column("own_width").to_pylist() == [4] * len(keys)
    assert found.left_out == Counter(
        {
            "left out: parquet: the table of a tar or folder of the same name": 2,
            "left out: json: no picture of that name beside it": 2,
        }
    )
