"""*Anywhere.* The folder of this machine where fetched weights and index files stay."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

CACHE_VARIABLE = "CLIP_SPARK_CACHE"


def cache_folder() -> Path:
    """*Anywhere.* Where what was fetched stays on this node: $CLIP_SPARK_CACHE, else below the temporary folder."""
    default = os.path.join(tempfile.gettempdir(), f"clip-spark-cache-{os.getuid()}")
    folder = Path(os.environ.get(CACHE_VARIABLE, default))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
