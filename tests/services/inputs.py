"""Small real inputs from the demo's data: a few hundred lines of text and a few dozen pictures."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from tests.services.commands import ROOT

DEMO = ROOT / "clip_spark" / "demo"
PICTURES = 48


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
