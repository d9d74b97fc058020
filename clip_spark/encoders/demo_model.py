"""*Anywhere.* The folder of the bundled model: in an installation, or unpacked once per node from a --py-files zip."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

NAMES = ("open_clip_config.json", "open_clip_model.safetensors")


@lru_cache(maxsize=1)
def model_folder() -> str:
    """*Anywhere.* A real folder with the model's files; Python imports from a zip, but libraries open only files."""
    packed = files("clip_spark.demo") / "model"
    if isinstance(packed, Path):
        return str(packed)
    contents = {name: (packed / name).read_bytes() for name in NAMES}
    digest = hashlib.blake2b(b"".join(contents.values()), digest_size=8).hexdigest()
    folder = Path(tempfile.gettempdir()) / f"clip-spark-demo-model-{os.getuid()}-{digest}"
    if not folder.exists():
        _write(folder, contents)
    return str(folder)


def _write(folder: Path, contents: dict[str, bytes]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    for name, content in contents.items():
        (temporary / name).write_bytes(content)
    try:
        temporary.rename(folder)  # whole or not at all
    except OSError:  # another process was quicker
        shutil.rmtree(temporary)
