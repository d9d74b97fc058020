"""*Driver.* Copies the bundled words and pictures into a working folder, as a user's own data would lie there."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path


def unpack(work: str) -> tuple[str, str]:
    """*Driver.* Put the text corpus into `work/text` and the webdataset tars into `work/pictures`.

    Files that are there with the right size stay untouched, so that a second run finds its inputs unchanged.

    Returns:
        The two folders.
    """
    return _copy("text", Path(work) / "text"), _copy("pictures", Path(work) / "pictures")


def _copy(name: str, target: Path) -> str:
    target.mkdir(parents=True, exist_ok=True)
    with as_file(files("clip_spark.demo") / name) as source:
        for file in sorted(source.iterdir()):
            copy = target / file.name
            if not copy.exists() or copy.stat().st_size != file.stat().st_size:
                shutil.copyfile(file, copy)
    return str(target)
