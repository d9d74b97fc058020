"""*Worker.* The one place that imports faiss.

The wheels of faiss and torch bring a copy of the OpenMP runtime each. On Linux both are GNU libgomp and live side by
side, in either order of import, each with threads of its own. On macOS they are LLVM's, which aborts the process when
a second copy starts, unless it is told that this is all right. Search and encoding alternate and never overlap in one
thread, so two pools cost idle threads, not time.
"""

from __future__ import annotations

import os
import sys
from typing import Any


def load_faiss() -> Any:
    """*Worker.* The faiss module."""
    if sys.platform == "darwin":
        os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")
    import faiss

    return faiss
