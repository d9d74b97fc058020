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


def use_threads(count: int) -> None:
    """*Worker.* Let Faiss and its OpenBLAS use so many threads in this process.

    PySpark starts its workers with OMP_NUM_THREADS=1, which OpenBLAS reads when it is loaded; setting OpenMP's number
    alone left the matrix products of k-means on one core (22 s instead of 11 for 1,024 lists on two cores).
    """
    from threadpoolctl import threadpool_limits

    load_faiss()
    threadpool_limits(count)
