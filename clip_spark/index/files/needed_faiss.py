"""*Worker.* Which indices need a later Faiss than the one here, by their key: it is known before a part is opened."""

from __future__ import annotations

from clip_spark.errors import UserError
from clip_spark.index.files.faiss_library import has_rabitq, load_faiss

WITH_RABITQ = "faiss-cpu>=1.11"


def lacking(key: str) -> str:
    """*Worker.* `needs faiss-cpu>=1.11, and the Faiss here is 1.10.0`; empty where the one here will do."""
    if "RaBitQ" not in key:
        return ""
    try:
        here = "" if has_rabitq() else f"the Faiss here is {load_faiss().__version__}"
    except ImportError:
        here = "there is no Faiss here"
    return here and f"needs {WITH_RABITQ}, and {here}"


def check_faiss(index_uri: str, key: str) -> None:
    """*Worker.* Raise UserError where the Faiss here cannot read the parts of an index: they would seem damaged."""
    if lacks := lacking(key):
        raise UserError(f"The index '{index_uri}' ({key}) {lacks}; install that wherever the index is opened.")
