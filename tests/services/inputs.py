"""Small real inputs from the demo's data: a few hundred lines of text and a few dozen pictures."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pyarrow as pa

from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.schema import record_id
from clip_spark.datasets.shards import ShardWriter
from clip_spark.texts.specs import RecordsSpec
from tests.services.commands import ROOT
from tests.services.picture_web import PictureWeb

DEMO = ROOT / "clip_spark" / "demo"
PICTURES = 48
LINKS = 160
FAULTS = ("404", "html", "moved", "noai", "loop", "bomb", "small")
"""Those that end the same however often they are asked."""


def write_inputs(folder: Path) -> None:
    """Write `text/*.txt` and `pictures/*` below a folder."""
    (folder / "text").mkdir(parents=True)
    for name in ("food-drink.txt", "animals-nature.txt", "flags.txt.gz"):
        shutil.copy(DEMO / "text" / name, folder / "text" / name)
    (folder / "pictures").mkdir()
    with tarfile.open(DEMO / "pictures" / "00000.tar") as tar:
        members = [member for member in tar if member.name.endswith(".png")][:PICTURES]
        for member in members:
            stream = tar.extractfile(member)
            assert stream is not None
            (folder / "pictures" / Path(member.name).name).write_bytes(stream.read())
    (folder / "pictures" / "broken.png").write_bytes(b"not a picture")


def write_links(uri: str, web: PictureWeb) -> None:
    """Records of links: half of the pictures twice, and a few of each fault."""
    paths = [f"/ok/{30 * (n % (LINKS // 2))}.jpg?{n}" for n in range(LINKS - 3 * len(FAULTS))]
    paths += [f"/fault/{name}/{number}" for name in FAULTS for number in range(3)]
    urls = [web.url(path, f"127.0.0.{1 + number % 4}") for number, path in enumerate(paths)]
    rows = {"record_id": list(map(record_id, urls)), "kind": ["image"] * LINKS, "text": paths, "uri": urls}
    spec = RecordsSpec(rows=("links",), output=uri, uri_column="url")
    run = begin_run(uri, Plan.of("records", spec, {}, 1), overwrite=False)
    with ShardWriter(run.output, run.plan.fingerprint, 0, {"records": pa.table(rows).schema}) as writer:
        writer.write("records", pa.table(rows))
        writer.finish()
    run.commit()
