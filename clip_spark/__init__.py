"""clip-spark: text corpora and picture sets -> CLIP embeddings -> Faiss indices, as Spark batch jobs.

    import clip_spark as cs

    counts = cs.count_ngrams(corpus="texts/", min_count=2, output="out/counts")
    ngrams = cs.filter_ngrams(counts=counts, top=10_000, output="out/ngrams")
    embedded = cs.embed_text(records=ngrams, output="out/embeddings")
    index = cs.open_index(cs.build_index(embeddings=embedded, output="out/index"))
    index.search("dog", k=5)

Importing this package loads neither pyspark, torch nor faiss (held by tests/unit/test_imports.py): each name below is
imported at its first use. What type checkers and editors see is in `__init__.pyi`, which `scripts/make_stub.py` writes.
"""

from __future__ import annotations

import importlib

from clip_spark.blas import name_kernels
from clip_spark.openmp import spin_shortly

name_kernels()
spin_shortly()

__version__ = "0.1.0"

_STEPS = (
    "adopt_index",
    "build_index",
    "count_ngrams",
    "describe_set",
    "download_images",
    "embed_images",
    "embed_text",
    "filter_ngrams",
    "find_duplicates",
    "import_embeddings",
    "import_index",
    "make_map",
    "make_records",
    "sample_lines",
    "score_embeddings",
    "search_index",
    "tag_images",
)
"""The registry's steps; named here, for reading the registry takes time that an import must not."""

_PLACES = {
    **dict.fromkeys(_STEPS, "api.steps"),
    **dict.fromkeys(("load_encoder", "open_dataset", "open_index", "open_map", "open_pair"), "api.opening"),
    **dict.fromkeys(("session", "stop"), "api.session"),
    "Dataset": "api.dataset",
    "Index": "api.index",
    "Map": "api.map",
    "Pair": "api.pair",
    **dict.fromkeys(("Hit", "Hits"), "search.hits"),
    **dict.fromkeys(("ClipSparkError", "DatasetError", "StorageError", "TaskError"), "errors"),
    **dict.fromkeys(("InputError", "ModelError", "OutputError", "SpecError", "UserError"), "errors"),
}
"""Name -> the module that has it."""

__all__ = [
    "ClipSparkError",
    "Dataset",
    "DatasetError",
    "Hit",
    "Hits",
    "Index",
    "InputError",
    "Map",
    "ModelError",
    "OutputError",
    "Pair",
    "SpecError",
    "StorageError",
    "TaskError",
    "UserError",
    "__version__",
    "adopt_index",
    "build_index",
    "count_ngrams",
    "describe_set",
    "download_images",
    "embed_images",
    "embed_text",
    "filter_ngrams",
    "find_duplicates",
    "import_embeddings",
    "import_index",
    "load_encoder",
    "make_map",
    "make_records",
    "open_dataset",
    "open_index",
    "open_map",
    "open_pair",
    "sample_lines",
    "score_embeddings",
    "search_index",
    "session",
    "stop",
    "tag_images",
]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'clip_spark' has no attribute '{name}'")
    module = importlib.import_module(f"clip_spark.{_PLACES[name]}")
    value = module.step_function(name.replace("_", "-")) if name in _STEPS else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
